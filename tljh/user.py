"""TLJH's names for accounts and groups; the code is in `tljh.host`."""

from __future__ import annotations

from tljh.base.paths import Paths
from tljh.host.accounts import SKELETON
from tljh.host.real import RealHost


def ensure_user(username: str) -> None:
    """Make the Linux account `username` if it is missing, and tell plugins of a new one."""
    host = RealHost()
    if host.user(username) is not None:
        return
    home = Paths.homes / username
    host.add_user(username, home=home)
    if host.info(home) is None:
        host.make_home(home, owner=username, group=username, skeleton=SKELETON)
    from tljh.plugins.manager import call, load_installed_plugins

    call(load_installed_plugins(), "tljh_new_user_create", username=username)


def remove_user(username: str) -> None:
    """Remove a Linux account but not its home; do nothing if it is missing."""
    RealHost().remove_user(username)


def ensure_group(groupname: str) -> None:
    """Make the Linux group if it is missing."""
    host = RealHost()
    if host.group(groupname) is None:
        host.add_group(groupname)


def remove_group(groupname: str) -> None:
    """Remove a Linux group; do nothing if it is missing."""
    RealHost().remove_group(groupname)


def ensure_user_group(username: str, groupname: str) -> None:
    """Put a Linux account into a group."""
    host = RealHost()
    group = host.group(groupname)
    if group is None or username not in group.members:
        host.add_to_group(username, groupname)


def remove_user_group(username: str, groupname: str) -> None:
    """Remove a Linux account from a group; do nothing if it is not a member."""
    RealHost().remove_from_group(username, groupname)
