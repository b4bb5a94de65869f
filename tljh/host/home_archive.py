"""Archiving of removed users' home directories: deleted only after the archive was checked."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from tljh.base.errors import TljhError
from tljh.host.interface import Host

# A home of some hundred gigabytes on a slow disk.
ARCHIVE_TIMEOUT_S = 6 * 3600.0


def archive_home(host: Host, account: str, home: Path, archives: Path) -> Path | None:
    """Pack a home into `archives`, delete it and return the archive; None if it is missing.

    Raises TljhError, with the home untouched, if it is not the account's own directory or if the
    archive cannot be written and read again.
    """
    info = host.info(home)
    if info is None:
        return None
    if info.kind != "directory" or info.owner != account or len(home.parts) < 3:
        raise TljhError(
            f"{home} is not {account}'s own directory, so it is not deleted",
            why=f"it is a {info.kind} of {info.owner}",
            fix=f"check its content; to delete it: sudo rm -r {home}",
        )
    if host.info(archives) is None:
        host.mkdir(archives, mode=0o700)
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    archive = archives / f"{account}-{stamp}.tar.gz"
    # tar writes into an existing file without changing its mode, so no other user can read the
    # archive at any time.
    host.write(archive, b"", mode=0o600)
    pack = ["tar", "--create", "--gzip", "--acls", "--xattrs", "--one-file-system",
            "--file", str(archive), "--directory", str(home.parent), "--", home.name]  # fmt: skip
    result = host.run(pack, timeout_s=ARCHIVE_TIMEOUT_S)
    if result.ok:
        result = host.run(["tar", "--list", "--file", str(archive)], timeout_s=ARCHIVE_TIMEOUT_S)
    if not result.ok:
        host.remove(archive)
        raise TljhError(
            f"{home} could not be archived, so it is not deleted",
            why=result.err.strip()[-2000:] or None,
            fix=f"free disk space below {archives}, then run the command again",
        )
    host.remove(home)
    return archive
