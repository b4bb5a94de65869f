"""Installing Debian packages: waits for the package manager's lock, mends an interrupted dpkg."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tljh.errors import TljhError
from tljh.host.base import Host, Result
from tljh.output import Progress

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
_POLL_S = 2


def _apt_get(host: Host, progress: Progress, *arguments: str) -> Result:
    """Run apt-get; while another one downloads, wait.

    DPkg::Lock::Timeout is for dpkg's own locks: for that of the lists or of the downloaded
    archives apt-get of Debian 12 and 13 fails at once. Raises TljhError when it is held for good.
    """
    end_s = host.monotonic_s() + LOCK_TIMEOUT_S
    is_told = False
    while True:
        done = host.run(
            ["apt-get", *_OPTIONS, *arguments], timeout_s=LOCK_TIMEOUT_S + 900, env=_ENVIRONMENT
        )
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


def install(host: Host, packages: Sequence[str], progress: Progress) -> None:
    """Install packages; refreshes the package lists only when it does not work without.

    Raises TljhError with the package manager's own words.
    """
    if not packages:
        return
    if host.query(["dpkg", "--audit"]).out.strip():
        progress.note("finishing an interrupted dpkg first")
        host.run(["dpkg", "--configure", "-a"], timeout_s=900, env=_ENVIRONMENT)
    done = _apt_get(host, progress, "install", *packages)
    if not done.ok:
        progress.note("refreshing the package lists")
        _apt_get(host, progress, "update")
        done = _apt_get(host, progress, "install", *packages)
    if not done.ok:
        raise TljhError(
            f"apt-get could not install {', '.join(packages)}",
            why="\n".join((done.err or done.out).strip().splitlines()[-8:]),
            fix=f"make this work, then run the command again: sudo apt-get install "
            f"{' '.join(packages)}",
        )
