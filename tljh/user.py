"""TLJH's names for accounts and groups; the code is in `tljh.host`."""

from __future__ import annotations

from tljh.base.paths import Paths
from tljh.host.real import RealHost


def ensure_user(username: str) -> None:
    """Make the Linux account `username` if it is missing, and tell plugins of a new one."""
    host = RealHost()
    if host.user(username) is not None:
        return
    host.add_user(username, home=Paths.homes / username)
    host.chmod(Paths.homes / username, mode=0o700, owner=username, group=username)
    from tljh.plugins.manager import call, installed_plugins

    call(installed_plugins(), "tljh_new_user_create", username=username)


def remove_user(username: str) -> None:
    """Remove a Linux account, its home stays; fine when it is not there."""
    RealHost().remove_user(username)


def ensure_group(groupname: str) -> None:
    """Make the Linux group if it is missing."""
    host = RealHost()
    if host.group(groupname) is None:
        host.add_group(groupname)


def remove_group(groupname: str) -> None:
    """Remove a Linux group; fine when it is not there."""
    RealHost().remove_group(groupname)


def ensure_user_group(username: str, groupname: str) -> None:
    """Put a Linux account into a group."""
    host = RealHost()
    found = host.group(groupname)
    if found is None or username not in found.members:
        host.add_to_group(username, groupname)


def remove_user_group(username: str, groupname: str) -> None:
    """Take a Linux account out of a group; fine when it is not in it."""
    RealHost().remove_from_group(username, groupname)
