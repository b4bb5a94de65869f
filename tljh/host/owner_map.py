"""New owners for a tree that came from another machine, where users had other numbers."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path


def change_owners(tree: Path, uids: Mapping[int, int], gids: Mapping[int, int]) -> int:
    """Replace owners and groups by number; return how many files and directories changed.

    Only root may be able to change the tree or its parents meanwhile: paths are followed.
    """
    changed = 0
    pending = [str(tree)]
    while pending:
        path = pending.pop()
        info = os.lstat(path)
        uid, gid = uids.get(info.st_uid, info.st_uid), gids.get(info.st_gid, info.st_gid)
        if (uid, gid) != (info.st_uid, info.st_gid):
            os.lchown(path, uid, gid)
            # chown clears setuid and setgid.
            if not stat.S_ISLNK(info.st_mode) and info.st_mode & 0o6000:
                Path(path).chmod(stat.S_IMODE(info.st_mode))
            changed += 1
        if stat.S_ISDIR(info.st_mode):
            pending += [entry.path for entry in os.scandir(path)]
    return changed
