"""A watch over what the kernel has once for all users, and has no limit of for each of them.

The hub and the proxy open connections, and each needs a port. A user can hold all ports that the
kernel gives out: two processes that bind 14,000 sockets each are enough, and the hub then answers
502 to all. So while more than half of them are in use, the processes of the user with the most are
ended, then of the next one, until there is room again. The same holds for pseudo terminals.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from tljh.host.accounts import end_processes, find_managed_accounts, find_running_units, get_login
from tljh.host.interface import Host, UserInfo
from tljh.host.kernel_usage import (
    FindOwner,
    count_open_files,
    count_open_terminals,
    count_port_range,
    count_sockets,
    count_terminals,
)
from tljh.singleuser.network_isolation import find_isolated_users

# Reading the totals takes 0.1 ms. A user needs 0.3 s to take all ports.
EVERY_S = 0.5

# A user with fewer is not the cause of a shortage.
SMALLEST_SHARE = 1000
SMALLEST_TERMINALS = 100


@dataclass(frozen=True)
class Ration:
    """A thing that all users share: how much is used and exists, and who has how much."""

    what: str
    measure: Callable[[], tuple[int, int]]
    count: Callable[[FindOwner], Mapping[int, int]]
    smallest: int


RATIONS = (
    Ration(
        "ports of the machine",
        lambda: (count_sockets(), count_port_range()),
        count_open_files,
        SMALLEST_SHARE,
    ),
    Ration("pseudo terminals", count_terminals, count_open_terminals, SMALLEST_TERMINALS),
)


def choose_offenders(
    used: int, available: int, counts: Mapping[int, int], smallest: int
) -> list[int]:
    """Return the users to end, by uid: those with the most, until half of it is free."""
    offenders = []
    for uid, count in sorted(counts.items(), key=lambda item: -item[1]):
        if used <= available // 2 or count < smallest:
            break
        offenders.append(uid)
        used -= count
    return offenders


def end_offenders(host: Host, ration: Ration, log: logging.Logger) -> list[str]:
    """End the processes of users who leave too little of a ration to the others; return them."""
    used, available = ration.measure()
    if used <= available // 2:
        return []
    users = {user.uid: user for user in find_managed_accounts(host)}
    counts = ration.count(_find_owners(host, users))
    offenders = choose_offenders(used, available, counts, ration.smallest)
    for uid in offenders:
        log.error(
            "the processes of %s are ended: with those of others they use %i of %i %s",
            get_login(users[uid]),
            used,
            available,
            ration.what,
        )
        end_everything(host, users[uid])
    return [users[uid].name for uid in offenders]


def _find_owners(host: Host, users: Collection[int]) -> FindOwner:
    """Return the function from a user id to the user, who may have subordinate ids, too."""
    ranges = [
        (first, last, user.uid)
        for user in find_isolated_users(host)
        if user.uid in users
        for first, last in user.ranges
    ]

    def find_owner(uid: int) -> int | None:
        if uid in users:
            return uid
        return next((owner for first, last, owner in ranges if first <= uid <= last), None)

    return find_owner


def end_everything(host: Host, user: UserInfo) -> None:
    """End a user's servers, sessions and jobs at once, without asking them."""
    for unit in find_running_units(host, user.name):
        host.run(["systemctl", "kill", "--signal=KILL", unit], timeout_s=30)
    end_processes(host, user.name)


async def watch_rations(host: Host, log: logging.Logger) -> None:
    """Look at all rations, for as long as the hub runs."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(EVERY_S)
        for ration in RATIONS:
            try:
                used, available = ration.measure()
                if used > available // 2:
                    await loop.run_in_executor(None, end_offenders, host, ration, log)
            except Exception:
                log.exception("whether users leave enough %s could not be checked", ration.what)
                await asyncio.sleep(60)
