"""A throttle for guessed passwords that does not lock out a classroom behind one address.

Bad logins are counted in three ways, each over the same window of time:

- by name and address: after a few, the name has to wait at this address, and only there;
- by name, from all addresses: a higher limit, which ends guessing from many addresses;
- by address: the number of different names with bad logins and no good one since. All mistakes of
  one pupil count as one, and a name that has logged in from the address before never has to wait
  because of it.

The counts are in memory and lost when the hub restarts, which an attacker cannot cause.
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


# The largest number of keys in memory; the one that was not used for the longest time goes first.
MOST_REMEMBERED = 50_000


@dataclass(frozen=True)
class ThrottleLimits:
    """The number of bad logins within `window_s` after which a name has to wait."""

    per_account: int = 5
    per_account_anywhere: int = 30
    accounts_per_address: int = 50
    window_s: float = 600


class _Failures:
    """The times of bad logins by key; the oldest are dropped."""

    def __init__(self) -> None:
        self._times: OrderedDict[tuple[str, ...], deque[float]] = OrderedDict()

    def add(self, key: tuple[str, ...], time_s: float, limit: int) -> None:
        times = self._times.setdefault(key, deque(maxlen=limit))
        times.append(time_s)
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

    def forget_account(self, account: str) -> None:
        for key in [key for key in self._times if key[0] == account]:
            del self._times[key]


class Throttle:
    """Counts of bad logins, and the waiting times that follow from them."""

    def __init__(self, limits: ThrottleLimits, clock: Callable[[], float] = monotonic) -> None:
        self.limits = limits
        self._clock = clock
        self._failures = _Failures()
        # By address: names with bad logins, each with the time of the last one.
        self._names: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()
        # Names that have logged in from an address.
        self._logged_in: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, account: str) -> asyncio.Lock:
        """Return the lock that a login of this name holds while it is checked and counted.

        So attempts at the same time cannot all pass the check first.
        """
        return self._turns.setdefault(account, asyncio.Lock())

    def wait_s(self, account: str, address: str) -> float:
        """Return the seconds until this name may try again from this address, or 0."""
        start_s = self._clock() - self.limits.window_s
        blocking_times = []
        here = self._failures.since((account, address), start_s)
        if len(here) >= self.limits.per_account:
            blocking_times.append(here[0])
        # A user who has logged in from this address before is held up neither by an attacker
        # elsewhere nor by other users at the same address.
        if (account, address) not in self._logged_in:
            anywhere = self._failures.since((account,), start_s)
            if len(anywhere) >= self.limits.per_account_anywhere:
                blocking_times.append(anywhere[0])
            names = self._address_names(address, start_s)
            if len(names) >= self.limits.accounts_per_address and account not in names:
                blocking_times.append(next(iter(names.values())))
        return max(blocking_times) - start_s if blocking_times else 0.0

    def failed(self, account: str, address: str) -> None:
        """Count a bad login."""
        time_s = self._clock()
        self._failures.add((account, address), time_s, self.limits.per_account)
        self._failures.add((account,), time_s, self.limits.per_account_anywhere)
        names = self._names.setdefault(address, OrderedDict())
        names[account] = time_s
        names.move_to_end(account)
        self._names.move_to_end(address)
        if len(names) > self.limits.accounts_per_address:
            names.popitem(last=False)
        if len(self._names) > MOST_REMEMBERED:
            self._names.popitem(last=False)

    def succeeded(self, account: str, address: str) -> None:
        """Forget this name's bad logins at this address, and remember that it logged in there.

        The count from all addresses stays: an attacker may be guessing while the user works.
        """
        self._failures.forget((account, address))
        names = self._names.get(address)
        if names is not None:
            names.pop(account, None)
            if not names:
                del self._names[address]
        self._logged_in[account, address] = None
        self._logged_in.move_to_end((account, address))
        if len(self._logged_in) > MOST_REMEMBERED:
            self._logged_in.popitem(last=False)

    def forget_account(self, account: str) -> None:
        """Forget all bad logins of a name: it has a new password, which nobody has guessed at."""
        self._failures.forget_account(account)
        for names in self._names.values():
            names.pop(account, None)

    def _address_names(self, address: str, start_s: float) -> OrderedDict[str, float]:
        names = self._names.get(address)
        if names is None:
            return OrderedDict()
        while names and next(iter(names.values())) <= start_s:
            names.popitem(last=False)
        if not names:
            del self._names[address]
        return names


def find_client_address(headers: Mapping[str, str], trusted: Sequence[Network] = ()) -> str:
    """Return the client's address: the last one in X-Forwarded-For that is not a trusted proxy.

    Traefik appends the address that it sees. An address further to the left is believed only if
    all to its right are trusted proxies, because a client can send any header it likes. An IPv6
    address is shortened to its /64 network: one household, or one attacker, has all of it.
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
