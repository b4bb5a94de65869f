"""POSIX access control lists, as the kernel stores them in extended attributes.

`setfacl -R` follows a path again for each step, so a user who swaps a directory for a symbolic
link makes root change what the link points to. Here an ACL is set on an open descriptor.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
# Tags and layout of linux/posix_acl_xattr.h.
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_VERSION = struct.pack("<I", 2)
_ENTRY = struct.Struct("<HHI")
_NO_ID = 0xFFFFFFFF
READ, WRITE, EXECUTE = 4, 2, 1
ALL = READ | WRITE | EXECUTE


@dataclass(frozen=True)
class Acl:
    """Permissions of the owner, the owning group, all others, and of users and groups by id."""

    owner: int
    group: int
    other: int
    users: tuple[tuple[int, int], ...] = ()
    groups: tuple[tuple[int, int], ...] = ()

    @property
    def mask(self) -> int:
        """The most that anybody but owner and others gets: all that the entries give."""
        mask = self.group
        for _, permissions in (*self.users, *self.groups):
            mask |= permissions
        return mask

    def with_group(self, gid: int, permissions: int) -> Acl:
        return replace(self, groups=(*self.without_groups({gid}).groups, (gid, permissions)))

    def without_groups(self, gids: set[int]) -> Acl:
        return replace(self, groups=tuple(each for each in self.groups if each[0] not in gids))

    def encode(self) -> bytes:
        """Return the ACL as the value of its extended attribute, in the order the kernel wants."""
        entries = [
            (USER_OBJ, self.owner, _NO_ID),
            *((USER, permissions, uid) for uid, permissions in sorted(self.users)),
            (GROUP_OBJ, self.group, _NO_ID),
            *((GROUP, permissions, gid) for gid, permissions in sorted(self.groups)),
            (MASK, self.mask, _NO_ID),
            (OTHER, self.other, _NO_ID),
        ]
        return _VERSION + b"".join(_ENTRY.pack(*entry) for entry in entries)


def make_acl_of_mode(mode: int) -> Acl:
    """Return the ACL that says the same as the permission bits `mode`."""
    return Acl(mode >> 6 & ALL, mode >> 3 & ALL, mode & ALL)


def decode(value: bytes) -> Acl:
    """Parse an ACL from the value of its extended attribute. Raises ValueError for others."""
    if value[:4] != _VERSION or (len(value) - 4) % _ENTRY.size:
        raise ValueError("not a POSIX ACL")
    single: dict[int, int] = {}
    users, groups = [], []
    for tag, permissions, number in _ENTRY.iter_unpack(value[4:]):
        if tag == USER:
            users.append((number, permissions))
        elif tag == GROUP:
            groups.append((number, permissions))
        else:
            single[tag] = permissions
    return Acl(single[USER_OBJ], single[GROUP_OBJ], single[OTHER], tuple(users), tuple(groups))


def read_acl(path: str, name: str) -> Acl | None:
    """Return the ACL in the extended attribute `name` of a file; None without one.

    `path` is that of an open descriptor, /proc/self/fd/N, so that no link is followed.
    """
    try:
        return decode(os.getxattr(path, name))
    except (OSError, ValueError, KeyError):
        return None
