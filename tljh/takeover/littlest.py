"""What The Littlest JupyterHub (TLJH) has on a machine, read before a takeover is planned."""

from __future__ import annotations

from dataclasses import dataclass

from tljh.base.account_names import PREFIX, shorten
from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.host.littlest import read_littlest_version
from tljh.host.sqlite_file import read_user_names


@dataclass(frozen=True)
class Littlest:
    """An installation of TLJH; `accounts` are those of its users, by login name."""

    version: str
    logins: frozenset[str]
    accounts: tuple[tuple[str, str], ...]


def find_littlest(host: HostReader, paths: Paths) -> Littlest | None:
    """Return the installation of TLJH that the prefix has; None where there is none.

    Its hub environment is a directory at the place of our link.
    """
    version = read_littlest_version(host, paths.hub)
    if version is None:
        return None
    logins = read_user_names(paths.hub_database)
    accounts = ((login, shorten(PREFIX + login)) for login in sorted(logins))
    return Littlest(
        version,
        logins,
        tuple((login, name) for login, name in accounts if host.user(name) is not None),
    )
