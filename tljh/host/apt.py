"""Installation of Debian packages, with patience for locks, downloads and an interrupted dpkg."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.host.interface import Host, Result

# Unattended upgrades hold the lock for minutes after the first boot of a cloud image.
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

# Our packages are 15 MB, the package lists 10 to 30 MB.
DOWNLOAD_TIMEOUT_S = 240

REFRESH_TIMEOUT_S = 120


def _run_apt_get(host: Host, progress: Progress, timeout_s: float, *arguments: str) -> Result:
    """Run apt-get, and wait while another process holds one of its locks.

    The exit code is 124 if it did not end within `timeout_s`. Raises TljhError if a lock is held
    for LOCK_TIMEOUT_S.
    """
    # DPkg::Lock::Timeout covers dpkg's own locks only: on the lock of the package lists or of the
    # downloaded archives, apt-get of Debian 12 and 13 fails at once. So we retry those.
    deadline_s = host.monotonic_s() + LOCK_TIMEOUT_S
    is_reported = False
    while True:
        try:
            result = host.run(
                ["apt-get", *_OPTIONS, *arguments], timeout_s=timeout_s, env=_ENVIRONMENT
            )
        except TljhError as error:
            return Result(124, "", str(error))
        locked = None if result.ok else _LOCKED.search(result.err)
        if not locked:
            return result
        holder = locked[1] or "another program"
        if host.monotonic_s() > deadline_s:
            raise TljhError(
                f"{holder} has held the package manager for {LOCK_TIMEOUT_S / 60:.0f} minutes",
                why=result.err.strip(),
                fix="wait until it has ended, or stop it; then run the command again",
            )
        if not is_reported:
            progress.note(f"waiting for {holder}, which uses the package manager")
            is_reported = True
        host.pause(_POLL_S)


def _install_downloaded(host: Host, progress: Progress, packages: Sequence[str]) -> Result:
    timeout_s = LOCK_TIMEOUT_S + 900
    return _run_apt_get(host, progress, timeout_s, "--no-download", "install", *packages)


def _download(host: Host, progress: Progress, packages: Sequence[str]) -> Result:
    """Download packages with their dependencies; a retry resumes a partial download."""
    # When a connection breaks at a bad moment, apt-get of Debian 12 waits for ever without any
    # connection (15 of 32 runs through a proxy that cut after 3 MB on average). So every attempt
    # has a deadline.
    is_refreshed = False
    for _ in range(DOWNLOAD_ATTEMPTS):
        result = _run_apt_get(
            host, progress, DOWNLOAD_TIMEOUT_S, "--download-only", "install", *packages
        )
        # An unknown name stays unknown once the lists are fresh.
        if result.ok or (is_refreshed and _UNKNOWN in result.err):
            break
        progress.note("refreshing the package lists")
        is_refreshed = _run_apt_get(host, progress, REFRESH_TIMEOUT_S, "update").ok
    return result


def install(host: Host, packages: Sequence[str], progress: Progress) -> None:
    """Install packages; refresh the package lists only if the installation fails without.

    Raises TljhError with the package manager's own message.
    """
    if not packages:
        return
    if host.query(["dpkg", "--audit"]).out.strip():
        progress.note("finishing an interrupted dpkg first")
        host.run(["dpkg", "--configure", "-a"], timeout_s=900, env=_ENVIRONMENT)
    # The bootstrap has usually downloaded the packages before.
    result = _install_downloaded(host, progress, packages)
    if not result.ok:
        result = _download(host, progress, packages)
        if result.ok:
            result = _install_downloaded(host, progress, packages)
    if not result.ok:
        raise TljhError(
            f"apt-get could not install {', '.join(packages)}",
            why="\n".join((result.err or result.out).strip().splitlines()[-8:]),
            fix=f"get this to work, then run the command again: sudo apt-get install "
            f"{shlex.join(packages)}",
        )
