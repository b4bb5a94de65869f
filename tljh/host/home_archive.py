"""Archiving of removed users' home directories: deleted only after the archive was checked."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from shlex import quote

from tljh.base.errors import Place, TljhError
from tljh.host.interface import Host, HostReader

# A home of some hundred gigabytes on a slow disk.
ARCHIVE_TIMEOUT_S = 6 * 3600.0

# A hole is skipped, not read and packed: a sparse file of terabytes takes no time.
PACK = (
    *("tar", "--create", "--gzip", "--sparse", "--acls", "--xattrs", "--one-file-system"),
    *("--warning=no-file-ignored", "--file"),
)


def archive_home(host: Host, account: str, home: Path, archives: Path) -> Path | None:
    """Pack a home into `archives`, delete it and return the archive; None if it is missing.

    Very deep directories are moved up within the home first, because tar has no end with them.
    Raises TljhError, with all files still in the home, if it is not the account's own directory
    or if the archive cannot be written and read again.
    """
    if host.info(home) is None:
        return None
    check_own_home(host, account, home)
    if host.info(archives) is None:
        host.mkdir(archives, mode=0o700)
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    archive = archives / f"{account}-{stamp}.tar.gz"
    # tar writes into an existing file without changing its mode, so no other user can read the
    # archive at any time.
    host.write(archive, b"", mode=0o600)
    host.flatten(home)
    pack = [*PACK, str(archive), "--directory", str(home.parent), "--", home.name]
    result = host.run(pack, timeout_s=ARCHIVE_TIMEOUT_S)
    if result.ok:
        # Reads all of it, and prints no name: a home may have millions of files.
        check = ["tar", "--list", "--exclude=*", "--file", str(archive)]
        result = host.run(check, timeout_s=ARCHIVE_TIMEOUT_S)
    if not result.ok:
        host.remove(archive)
        raise TljhError(
            f"{home} could not be archived, so it is not deleted",
            why=result.err.strip()[-2000:] or None,
            fix=f"free disk space below {archives}, then run the command again",
        )
    try:
        host.remove(home)
    except OSError as error:
        raise TljhError(
            f"{home} is archived, but could not be deleted",
            where=Place(str(archive)),
            why=f"{error.strerror}: {error.filename or home}",
            fix="a mount point in it has to be unmounted first; then: "
            f"sudo rm -r {quote(str(home))}",
        ) from error
    return archive


def check_own_home(host: HostReader, account: str, home: Path) -> None:
    """Raise TljhError for a home that is not the account's own directory."""
    info = host.info(home)
    if info is None or info.kind != "directory" or info.owner != account or len(home.parts) < 3:
        raise TljhError(
            f"{home} is not {account}'s own directory, so it is not deleted",
            why=f"it is a {info.kind} of {info.owner}" if info else "it does not exist",
            fix=f"check its content; to delete it: sudo rm -r {quote(str(home))}",
        )
