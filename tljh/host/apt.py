"""Installing Debian packages: waits for the package manager's lock, mends an interrupted dpkg."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.host.interface import Host, Result

# Unattended upgrades of a freshly booted cloud image hold the lock for minutes.
LOCK_TIMEOUT_S = 300


_OPTIONS = (
    "-q",
    "-y",
    "--no-install-recommends",
    "-o",
    f"DPkg::Lock::Timeout={LOCK_TIMEOUT_S}",
    "-o",
    "Dpkg::Options::=--force-confold",
    "-o",
    "Dpkg::Use-Pty=0",
)


_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l", "LC_ALL": "C.UTF-8"}

# "E: Could not get lock FILE. It is held by process 712 (apt-get)"
_LOCKED = re.compile(r"Could not get lock(?:.*held by ((?:process )?\d+ \(.*?\)))?")

_UNKNOWN = "Unable to locate package"
_POLL_S = 2
DOWNLOAD_ATTEMPTS = 4

# Ours are 15 MB, the lists 10 to 30.
DOWNLOAD_TIMEOUT_S = 240

REFRESH_TIMEOUT_S = 120


def _apt_get(host: Host, progress: Progress, timeout_s: float, *arguments: str) -> Result:
    """Run apt-get; while another one downloads, wait. The code is 124 where it came to no end.

    DPkg::Lock::Timeout is for dpkg's own locks: for that of the lists or of the downloaded
    archives apt-get of Debian 12 and 13 fails at once. Raises TljhError when it is held for good.
    """
    end_s = host.monotonic_s() + LOCK_TIMEOUT_S
    is_told = False
    while True:
        try:
            done = host.run(
                ["apt-get", *_OPTIONS, *arguments], timeout_s=timeout_s, env=_ENVIRONMENT
            )
        except TljhError as error:
            return Result(124, "", str(error))
        locked = None if done.ok else _LOCKED.search(done.err)
        if not locked:
            return done
        holder = locked[1] or "another program"
        if host.monotonic_s() > end_s:
            raise TljhError(
                f"{holder} has held the package manager for {LOCK_TIMEOUT_S / 60:.0f} minutes",
                why=done.err.strip(),
                fix="wait until it has ended, or stop it; then run the command again",
            )
        if not is_told:
            progress.note(f"waiting for {holder} to be done with the package manager")
            is_told = True
        host.pause(_POLL_S)


def _from_downloads(host: Host, progress: Progress, packages: Sequence[str]) -> Result:
    timeout_s = LOCK_TIMEOUT_S + 900
    return _apt_get(host, progress, timeout_s, "--no-download", "install", *packages)


def _download(host: Host, progress: Progress, packages: Sequence[str]) -> Result:
    """Have what an installation needs lie here; what came of it stays for the next attempt.

    Where a connection breaks at a wrong moment, apt-get of Debian 12 waits for ever, with no
    connection left (15 of 32 runs through a proxy that cut after 3 MB on average): hence the
    deadlines.
    """
    is_refreshed = False
    for _ in range(DOWNLOAD_ATTEMPTS):
        done = _apt_get(host, progress, DOWNLOAD_TIMEOUT_S, "--download-only", "install", *packages)
        if done.ok or (is_refreshed and _UNKNOWN in done.err):
            break
        progress.note("refreshing the package lists")
        is_refreshed = _apt_get(host, progress, REFRESH_TIMEOUT_S, "update").ok
    return done


def install(host: Host, packages: Sequence[str], progress: Progress) -> None:
    """Install packages; refreshes the package lists only when it does not work without.

    Raises TljhError with the package manager's own words.
    """
    if not packages:
        return
    if host.query(["dpkg", "--audit"]).out.strip():
        progress.note("finishing an interrupted dpkg first")
        host.run(["dpkg", "--configure", "-a"], timeout_s=900, env=_ENVIRONMENT)
    done = _from_downloads(host, progress, packages)
    if not done.ok:
        done = _download(host, progress, packages)
        if done.ok:
            done = _from_downloads(host, progress, packages)
    if not done.ok:
        raise TljhError(
            f"apt-get could not install {', '.join(packages)}",
            why="\n".join((done.err or done.out).strip().splitlines()[-8:]),
            fix=f"make this work, then run the command again: sudo apt-get install "
            f"{' '.join(packages)}",
        )
