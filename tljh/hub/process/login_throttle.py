"""Slowing down who guesses passwords, without locking out a classroom behind one address.

Bad logins are counted three ways, each over the same window of time:

- one name from one address: a few, then that name waits there, and only there;
- one name from everywhere: more, so guessing from many addresses ends too;
- one address: the number of different names with bad logins that were not made good. A pupil's
  mistakes count as one; names that have logged in from the address before are never held by it.

It is all in memory: a restart of the hub forgets it, which no guesser can bring about.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from weakref import WeakValueDictionary

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


# What memory is spent on at most; the longest untouched goes first.
MOST_REMEMBERED = 50_000


@dataclass(frozen=True)
class Limits:
    """How many bad logins within `window_s` are let through."""

    per_account: int = 5
    per_account_anywhere: int = 30
    accounts_per_address: int = 50
    window_s: float = 600


class _Failures:
    """Times of bad logins by key, oldest forgotten."""

    def __init__(self) -> None:
        self._times: OrderedDict[tuple[str, ...], deque[float]] = OrderedDict()

    def add(self, key: tuple[str, ...], now_s: float, most: int) -> None:
        times = self._times.setdefault(key, deque(maxlen=most))
        times.append(now_s)
        self._times.move_to_end(key)
        if len(self._times) > MOST_REMEMBERED:
            self._times.popitem(last=False)

    def since(self, key: tuple[str, ...], start_s: float) -> deque[float]:
        times = self._times.get(key)
        if times is None:
            return deque()
        while times and times[0] <= start_s:
            times.popleft()
        if not times:
            del self._times[key]
        return times

    def forget(self, key: tuple[str, ...]) -> None:
        self._times.pop(key, None)


class Throttle:
    """Counts bad logins and says how long a name has to wait."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = monotonic) -> None:
        self.limits = limits
        self._now = clock
        self._failures = _Failures()
        # By address: names with bad logins, each with the time of the last one.
        self._names: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, account: str) -> asyncio.Lock:
        """Held during a login: a thousand tries of one name at once are counted one by one."""
        return self._turns.setdefault(account, asyncio.Lock())

    def wait_s(self, account: str, address: str) -> float:
        """Seconds until this name may try again from this address; 0 for now."""
        start_s = self._now() - self.limits.window_s
        deciding = []
        here = self._failures.since((account, address), start_s)
        if len(here) >= self.limits.per_account:
            deciding.append(here[0])
        # Neither strangers elsewhere nor neighbours hold up whoever has logged in from here.
        if (account, address) not in self._known:
            anywhere = self._failures.since((account,), start_s)
            if len(anywhere) >= self.limits.per_account_anywhere:
                deciding.append(anywhere[0])
            held = self._address_names(address, start_s)
            if len(held) >= self.limits.accounts_per_address and account not in held:
                deciding.append(next(iter(held.values())))
        return max(deciding) - start_s if deciding else 0.0

    def failed(self, account: str, address: str) -> None:
        """Count a bad login."""
        now_s = self._now()
        self._failures.add((account, address), now_s, self.limits.per_account)
        self._failures.add((account,), now_s, self.limits.per_account_anywhere)
        names = self._names.setdefault(address, OrderedDict())
        names[account] = now_s
        names.move_to_end(account)
        self._names.move_to_end(address)
        if len(names) > self.limits.accounts_per_address:
            names.popitem(last=False)
        if len(self._names) > MOST_REMEMBERED:
            self._names.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """Forget this name's mistakes at this address, and remember that it belongs there.

        Its count from everywhere stays: somebody else may be guessing while its owner works.
        """
        self._failures.forget((account, address))
        names = self._names.get(address)
        if names is not None:
            names.pop(account, None)
            if not names:
                del self._names[address]
        self._known[account, address] = None
        self._known.move_to_end((account, address))
        if len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)

    def _address_names(self, address: str, start_s: float) -> OrderedDict[str, float]:
        names = self._names.get(address)
        if names is None:
            return OrderedDict()
        while names and next(iter(names.values())) <= start_s:
            names.popitem(last=False)
        if not names:
            del self._names[address]
        return names


def client_address(headers: Mapping[str, str], trusted: Sequence[Network] = ()) -> str:
    """Who asks: the last address of X-Forwarded-For that is no proxy of ours.

    The hub listens on loopback, behind Traefik, which appends the address that it sees; what
    stands further left is believed only if proxies in front of us put it there. An IPv6
    address counts as its /64, of which one household or attacker has all.
    """
    chain = [part.strip() for part in headers.get("X-Forwarded-For", "").split(",")]
    for candidate in reversed(chain):
        try:
            address = ipaddress.ip_address(candidate)
        except ValueError:
            continue
        if address.is_loopback or any(address in network for network in trusted):
            continue
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped:
                return str(address.ipv4_mapped)
            return str(ipaddress.ip_network((address, 64), strict=False))
        return str(address)
    return "this machine"
