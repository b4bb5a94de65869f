"""The last lines that the hub, the proxy or a user's server wrote to systemd's journal."""

from __future__ import annotations

from collections.abc import Sequence

from tljh.base.account_names import list_unit_names
from tljh.base.errors import Exit, TljhError
from tljh.base.well_known import HUB_UNIT, PROXY_UNIT
from tljh.host.accounts import find_account_name
from tljh.host.interface import HostReader

PARTS = {"hub": HUB_UNIT, "proxy": PROXY_UNIT}


def list_units(part: str) -> tuple[str, ...]:
    """Return the systemd units of `hub` or `proxy`; of both, for an empty name.

    Raises TljhError for another name.
    """
    if not part:
        return tuple(PARTS.values())
    if part not in PARTS:
        raise TljhError(
            f"there is no log of {part}",
            why=f"there are {' and '.join(PARTS)}",
            fix="tljh logs hub, or for a user's server: tljh logs --user NAME",
            exit_code=Exit.USAGE,
        )
    return (PARTS[part],)


def list_units_of_user(host: HostReader, user: str) -> tuple[str, ...]:
    """Return the units that a user's server may have. Raises TljhError for an impossible name."""
    return list_unit_names(_find_account(host, user), user)


def _find_account(host: HostReader, user: str) -> str:
    name = find_account_name(host, user)
    if name is None:
        raise TljhError(f"the login name {user!r} cannot have an account", exit_code=Exit.USAGE)
    return name


def read_unit_logs(host: HostReader, units: Sequence[str], lines: int) -> str:
    """Return the last lines of all units together, oldest first."""
    argv = ["journalctl", "--no-pager", "-q", "-o", "short-iso", "-n", str(lines)]
    for unit in units:
        argv += ["-u", unit]
    return host.query(argv).out.rstrip()


def read_server_log(host: HostReader, user: str, lines: int) -> str:
    """Return the last lines of a user's server. Raises TljhError for a user who never had one."""
    text = read_unit_logs(host, list_units_of_user(host, user), lines)
    account = _find_account(host, user)
    # A removed user has no account, but the journal may still have lines.
    if not text and host.user(account) is None:
        raise TljhError(
            f"there is no log of {user}",
            why=f"no server ran under that name, and there is no account {account}",
            fix="list all users: sudo tljh user list",
        )
    return text
