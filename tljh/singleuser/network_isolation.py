"""The table of nftables on this machine: loaded, and kept in step with people and servers.

Everything here takes a lock of its own: between looking at who is there and replacing the
table, nobody else may add to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from tljh.host.accounts import USERS_GROUP, managed_accounts
from tljh.host.interface import Host, HostReader
from tljh.host.systemctl_output import parse_units
from tljh.singleuser.nftables_rules import (
    FAMILY,
    TABLE,
    IsolatedUser,
    ServerPort,
    add_script,
    forget_script,
    removal_script,
)

# What the last `reload` asked for; the unit loads it at boot.
RULES_FILE = "isolation.nft"


UNIT = "tljh-isolation.service"


# Exit codes of a shell for a program that it may not run, and for one that is not there.
CANNOT_RUN, NOT_FOUND = 126, 127


LOCK = Path("/run/tljh-isolation.lock")


LOCK_TIMEOUT_S = 20.0


# Why the table could not be loaded; empty or missing if it could.
PROBLEM = Path("/run/tljh-isolation.json")


SUBORDINATES = Path("/etc/subuid")


_SERVICE_URL = re.compile(r"^JUPYTERHUB_SERVICE_URL='?https?://[^/\s]*:(\d+)/", re.M)


def load(host: Host, rules: Path) -> str | None:
    """Bring the table to what `rules` says, people and running servers included.

    Returns why that could not be done; the machine is then as it was.
    """
    with host.lock(LOCK, timeout_s=LOCK_TIMEOUT_S):
        script = (host.read(rules) or removal_script().encode()).decode()
        if has_table(script):
            script += add_script(isolated_users(host), server_ports(host))
        problem = _nft(host, script)
        host.write(PROBLEM, json.dumps({"problem": problem}).encode(), mode=0o644)
    return problem


def has_table(script: str) -> bool:
    """Whether rules keep anything apart, or only remove what did."""
    return "chain " in script


def admit(host: Host, account: str, port: int | None = None) -> str | None:
    """Add a person, and the port of the own server, to a table that is loaded.

    A table that somebody flushed is loaded again. Returns why it could not be done.
    """
    user = host.user(account)
    if user is None:
        return f"{account} has no account"
    person = IsolatedUser(user.uid, subordinates(host).get(account, ()))
    servers = [ServerPort(port, user.uid)] if port else []
    with host.lock(LOCK, timeout_s=LOCK_TIMEOUT_S):
        problem = _nft(host, add_script([person], servers))
    if problem is None or is_loaded(host):
        return problem
    host.systemctl("restart", UNIT)
    with host.lock(LOCK, timeout_s=LOCK_TIMEOUT_S):
        return _nft(host, add_script([person], servers))


def forget_server(host: Host, account: str, port: int) -> None:
    """Forget the port of a server that is gone; fine if it was never known."""
    user = host.user(account)
    if user is not None:
        with host.lock(LOCK, timeout_s=LOCK_TIMEOUT_S):
            _nft(host, forget_script(ServerPort(port, user.uid)))


def is_loaded(host: HostReader) -> bool | None:
    """Return whether the table is in the kernel; None if nft, which knows, cannot run."""
    answer = host.query(["nft", "list", "chain", FAMILY, TABLE, "within"])
    return None if answer.code in (CANNOT_RUN, NOT_FOUND) else answer.ok


def load_problem(host: HostReader) -> str | None:
    """Why the table could not be loaded the last time, if it could not."""
    try:
        found = json.loads(host.read(PROBLEM) or b"{}").get("problem")
    except ValueError:
        return None
    return str(found) if found else None


def isolated_users(host: HostReader) -> list[IsolatedUser]:
    """All who have an account for the hub: made by it, or the machine's own and used by it."""
    group = host.group(USERS_GROUP)
    names = {user.name for user in managed_accounts(host)} | set(group.members if group else ())
    ranges = subordinates(host)
    return [
        IsolatedUser(user.uid, ranges.get(user.name, ()))
        for user in sorted(host.all_users(), key=lambda user: user.uid)
        if user.name in names and user.uid != 0
    ]


def subordinates(host: HostReader) -> dict[str, tuple[tuple[int, int], ...]]:
    """Ranges of user ids that belong to accounts; none that overlaps an earlier one."""
    found: dict[str, tuple[tuple[int, int], ...]] = {}
    taken: list[tuple[int, int]] = [(user.uid, user.uid) for user in host.all_users()]
    for line in (host.read(SUBORDINATES) or b"").decode(errors="replace").splitlines():
        name, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if not (first.isdigit() and count.isdigit() and int(count)):
            continue
        span = (int(first), int(first) + int(count) - 1)
        if not _overlaps(span, taken):
            taken.append(span)
            found[name] = (*found.get(name, ()), span)
    return found


def _overlaps(span: tuple[int, int], others: Iterable[tuple[int, int]]) -> bool:
    return any(span[0] <= last and first <= span[1] for first, last in others)


def server_ports(host: HostReader) -> list[ServerPort]:
    """Ports and accounts of all servers that run, from what systemd started them with."""
    shown = host.query(["systemctl", "show", "-p", "Id,UID,ActiveState", "jupyter-*.service"])
    found = []
    for unit in parse_units(shown.out):
        name, uid = unit.get("Id", ""), unit.get("UID", "")
        if unit.get("ActiveState") not in ("active", "activating") or not uid.isdigit():
            continue
        # Servers that The Littlest JupyterHub started have their file under the shorter name.
        for known_as in (name, name.removesuffix(".service")):
            environment = host.read(Path("/run") / known_as / f"{known_as}.env") or b""
            port = _SERVICE_URL.search(environment.decode(errors="replace"))
            if port:
                found.append(ServerPort(int(port[1]), int(uid)))
                break
    return found


def _nft(host: Host, script: str) -> str | None:
    done = host.run(["nft", "-f", "-"], timeout_s=30, stdin=script)
    if done.ok:
        return None
    # nft shows the line and marks the place below it; the first line has the reason.
    return (done.err.strip() or "nft failed").splitlines()[0]
