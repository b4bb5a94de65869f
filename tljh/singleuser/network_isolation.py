"""The nftables table on this machine: loading it, and adding users and servers to it.

All changes hold one lock. Otherwise a user that the hub adds would be lost when `load` has already
listed the users and then replaces the table.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from tljh.base.paths import Paths
from tljh.base.well_known import SERVER_UNITS
from tljh.host.accounts import USERS_GROUP, find_managed_accounts
from tljh.host.interface import Host, HostReader
from tljh.host.systemctl_output import parse_units
from tljh.singleuser.nftables_rules import (
    FAMILY,
    TABLE,
    IsolatedUser,
    ServerPort,
    format_addition,
    format_forgetting,
    format_removal,
)

UNIT = "tljh-isolation.service"


# Exit codes of a shell for a program that it may not run, and for one that is not there.
CANNOT_RUN, NOT_FOUND = 126, 127


LOCK_TIMEOUT_S = 20.0


SUBORDINATES = Path("/etc/subuid")


_SERVICE_URL = re.compile(r"^JUPYTERHUB_SERVICE_URL='?https?://[^/\s]*:(\d+)/", re.M)


def load(host: Host, paths: Paths) -> str | None:
    """Load the nftables table, and add all users, running servers and services.

    Returns the reason if that failed. The table is then unchanged.
    """
    with host.lock(Paths.isolation_lock, timeout_s=LOCK_TIMEOUT_S):
        script = (host.read(paths.isolation_rules) or format_removal().encode()).decode()
        if has_table(script):
            script += format_addition(find_isolated_users(host), find_server_ports(host))
            # A service counts like a user whose server has the port.
            services = find_service_ports(host, paths)
            script += format_addition([IsolatedUser(port.uid) for port in services], services)
        problem = _run_nft(host, script)
        host.write(Paths.isolation_problem, json.dumps({"problem": problem}).encode(), mode=0o644)
    return problem


def has_table(script: str) -> bool:
    """Return whether a file of rules creates the table, or only removes it (no isolation)."""
    return "chain " in script


def admit(host: Host, account: str, port: int | None = None) -> str | None:
    """Add a user and the port of the user's server to the nftables table.

    A table that another program removed is loaded again. Returns the reason if that failed.
    """
    user = host.user(account)
    if user is None:
        return f"{account} has no account"
    member = IsolatedUser(user.uid, read_subordinates(host).get(account, ()))
    servers = [ServerPort(port, user.uid)] if port else []
    with host.lock(Paths.isolation_lock, timeout_s=LOCK_TIMEOUT_S):
        problem = _run_nft(host, format_addition([member], servers))
    if problem is None or is_loaded(host):
        return problem
    host.systemctl("restart", UNIT)
    with host.lock(Paths.isolation_lock, timeout_s=LOCK_TIMEOUT_S):
        return _run_nft(host, format_addition([member], servers))


def forget_server(host: Host, account: str, port: int) -> None:
    """Remove the port of a server that has ended from the nftables table."""
    user = host.user(account)
    if user is not None:
        with host.lock(Paths.isolation_lock, timeout_s=LOCK_TIMEOUT_S):
            _run_nft(host, format_forgetting(ServerPort(port, user.uid)))


def is_loaded(host: HostReader) -> bool | None:
    """Return whether the kernel has the nftables table; None if nft cannot run."""
    answer = host.query(["nft", "list", "chain", FAMILY, TABLE, "within"])
    return None if answer.code in (CANNOT_RUN, NOT_FOUND) else answer.ok


def load_problem(host: HostReader) -> str | None:
    """Return why the last load of the table failed; None if it succeeded."""
    try:
        problem = json.loads(host.read(Paths.isolation_problem) or b"{}").get("problem")
    except ValueError:
        return None
    return str(problem) if problem else None


def find_isolated_users(host: HostReader) -> list[IsolatedUser]:
    """Return the users whose connections the rules restrict.

    They are the accounts of hub users, and the members of the group of all hub users.
    """
    group = host.group(USERS_GROUP)
    names = {user.name for user in find_managed_accounts(host)} | set(
        group.members if group else ()
    )
    ranges = read_subordinates(host)
    return [
        IsolatedUser(user.uid, ranges.get(user.name, ()))
        for user in sorted(host.all_users(), key=lambda user: user.uid)
        if user.name in names and user.uid != 0
    ]


def read_subordinates(host: HostReader) -> dict[str, tuple[tuple[int, int], ...]]:
    """Return the ranges of subordinate user ids by account, without those that overlap others.

    A user id in two ranges would have two owners, and nftables refuses overlapping intervals.
    """
    ranges: dict[str, tuple[tuple[int, int], ...]] = {}
    used_uids: list[tuple[int, int]] = [(user.uid, user.uid) for user in host.all_users()]
    for line in (host.read(SUBORDINATES) or b"").decode(errors="replace").splitlines():
        name, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if not (first.isdigit() and count.isdigit() and int(count)):
            continue
        span = (int(first), int(first) + int(count) - 1)
        if not _overlaps(span, used_uids):
            used_uids.append(span)
            ranges[name] = (*ranges.get(name, ()), span)
    return ranges


def _overlaps(span: tuple[int, int], others: Iterable[tuple[int, int]]) -> bool:
    return any(span[0] <= last and first <= span[1] for first, last in others)


def find_server_ports(host: HostReader) -> list[ServerPort]:
    """Return the ports of all running servers, from the environment files of their units."""
    result = host.query(["systemctl", "show", "-p", "Id,UID,ActiveState", SERVER_UNITS])
    ports = []
    for unit in parse_units(result.out):
        name, uid = unit.get("Id", ""), unit.get("UID", "")
        if unit.get("ActiveState") not in ("active", "activating") or not uid.isdigit():
            continue
        # For servers that The Littlest JupyterHub started, the file has the shorter name.
        for file_name in (name, name.removesuffix(".service")):
            environment = host.read(Path("/run") / file_name / f"{file_name}.env") or b""
            port = _SERVICE_URL.search(environment.decode(errors="replace"))
            if port:
                ports.append(ServerPort(int(port[1]), int(uid)))
                break
    return ports


def find_service_ports(host: HostReader, paths: Paths) -> list[ServerPort]:
    """Return the ports of services that have an own account."""
    ports = []
    for account, port in json.loads(host.read(paths.service_ports) or b"{}").items():
        user = host.user(account)
        if user is not None and user.uid != 0:
            ports.append(ServerPort(int(port), user.uid))
    return ports


def _run_nft(host: Host, script: str) -> str | None:
    """Run a script as one transaction. Return the reason if it failed."""
    result = host.run(["nft", "-f", "-"], timeout_s=30, stdin=script)
    if result.ok:
        return None
    # The first line has the reason; below it, nft prints the script's line and marks the place.
    return (result.err.strip() or "nft failed").splitlines()[0]
