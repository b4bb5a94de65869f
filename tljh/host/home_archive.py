"""Home directories of people who are gone: archived, checked, and only then deleted."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from tljh.base.errors import TljhError
from tljh.host.interface import Host

# A home of some hundred gigabytes on a slow disk.
ARCHIVE_TIMEOUT_S = 6 * 3600.0


def archive_home(host: Host, account: str, home: Path, archives: Path) -> Path | None:
    """Pack a home into `archives` and delete it; None where there is no home any more.

    Raises TljhError, with the home untouched, when it is not the account's own directory or
    when the archive cannot be made and read again.
    """
    info = host.info(home)
    if info is None:
        return None
    if info.kind != "directory" or info.owner != account or len(home.parts) < 3:
        raise TljhError(
            f"{home} is not {account}'s own directory, so it is not deleted",
            why=f"it is a {info.kind} of {info.owner}",
            fix="look at it, and delete it by hand if it can go",
        )
    if host.info(archives) is None:
        host.mkdir(archives, mode=0o700)
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    archive = archives / f"{account}-{stamp}.tar.gz"
    # tar writes into the file that is there, which is root's alone from the start.
    host.write(archive, b"", mode=0o600)
    pack = ["tar", "--create", "--gzip", "--acls", "--xattrs", "--one-file-system",
            "--file", str(archive), "--directory", str(home.parent), "--", home.name]  # fmt: skip
    done = host.run(pack, timeout_s=ARCHIVE_TIMEOUT_S)
    if done.ok:
        done = host.run(["tar", "--list", "--file", str(archive)], timeout_s=ARCHIVE_TIMEOUT_S)
    if not done.ok:
        host.remove(archive)
        raise TljhError(
            f"{home} could not be archived, so it is not deleted",
            why=done.err.strip()[-2000:] or None,
            fix=f"make room below {archives}, then run this again",
        )
    host.remove(home)
    return archive
