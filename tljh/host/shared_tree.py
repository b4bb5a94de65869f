"""Give a group access to a tree, and take it from other groups."""

from __future__ import annotations

import os
from pathlib import Path

from tljh.host.descriptor_walk import OpenedEntry, walk
from tljh.host.posix_acl import (
    ACCESS,
    ALL,
    DEFAULT,
    EXECUTE,
    READ,
    WRITE,
    Acl,
    make_acl_of_mode,
    read_acl,
)


def find_groups_with_access(root: Path) -> frozenset[int] | None:
    """Return the ids of the groups that the directory's ACLs name; None without both ACLs.

    A group counts only with all permissions in both, for existing and for new files.
    """
    # The descriptor is open only while the walk is at its entry.
    for opened in walk(root):
        access, default = read_acl(opened.path, ACCESS), read_acl(opened.path, DEFAULT)
        break
    if access is None or default is None:
        return None
    both = (*access.groups, *default.groups)
    gids = {gid for gid, _ in both}
    return frozenset(
        gid for gid in gids if all(permissions == ALL for each, permissions in both if each == gid)
    )


def share_tree(root: Path, gid: int | None, revoked: frozenset[int]) -> None:
    """Give the group `gid` read and write access to everything in `root`; take it from `revoked`.

    Without `gid` only the access of `revoked` ends. New files get it by default ACLs. Files that
    belong to a revoked group change to `gid`. Raises OSError where the file system has no ACLs.
    """
    for opened in walk(root):
        if gid is not None and opened.status.st_gid in revoked:
            os.chown(opened.path, -1, gid)
        _set_access(opened, gid, revoked)


def _set_access(opened: OpenedEntry, gid: int | None, revoked: frozenset[int]) -> None:
    acl = read_acl(opened.path, ACCESS) or make_acl_of_mode(opened.status.st_mode)
    # As setfacl's capital X: directories, and files that are executable for their owner.
    execute = EXECUTE if opened.is_directory or acl.owner & EXECUTE else 0
    acl = acl.without_groups(set(revoked))
    if gid is not None:
        acl = acl.with_group(gid, READ | WRITE | execute)
    os.setxattr(opened.path, ACCESS, acl.encode())
    if opened.is_directory:
        default = read_acl(opened.path, DEFAULT) or Acl(ALL, ALL, 0)
        default = default.without_groups(set(revoked))
        if gid is not None:
            default = default.with_group(gid, ALL)
        os.setxattr(opened.path, DEFAULT, default.encode())
