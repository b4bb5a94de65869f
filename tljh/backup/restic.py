"""restic: its command lines, its environment, and its errors in the admin's words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tljh.base.errors import TljhError
from tljh.host.interface import DIES_WITH_US, Host, Result
from tljh.host.unfollowed_links import can_wrap, find_tops, wrap_command

TAG = "tljh"

# A backup of 100 homes over a slow line takes hours; one that takes longer than a day is stuck.
LONG_S = 20 * 3600
SHORT_S = 300

_NOT_THERE = ("Is there a repository at the following location?", "unable to open config file")

# What restic prints -> what it means, and the fix.
_CAUSES = (
    (
        "wrong password or no key found",
        "the repository has another password",
        "name its key file (sudo tljh backup key prints it on the machine that made the backups), "
        "or choose an empty repository",
    ),
    (
        "no space left on device",
        "the disk of the repository is full",
        "make room there, or keep fewer backups: sudo tljh-config set backup.keep.monthly 3",
    ),
    (
        "repository is already locked",
        "another program uses the repository",
        "wait until it has ended; if none runs: sudo tljh backup run (it removes old locks)",
    ),
    (
        "unsupported repository version",
        "the restic of this machine is older than the one that made the repository",
        "use a machine with Debian 12, Ubuntu 24.04 or newer; or put a newer restic, from "
        "https://github.com/restic/restic/releases, at /usr/local/bin/restic, then run this again",
    ),
    *(
        (
            phrase,
            "files of the repository are damaged or missing",
            "an older backup may be whole: sudo tljh backup list; look at all: sudo tljh backup "
            "check; from now on to a new place: sudo tljh backup setup REPOSITORY",
        )
        for phrase in (
            "ciphertext verification failed",
            "repository contains errors",
            "Pack ID does not match",
            "not found in repository",
            "repository could be damaged",
        )
    ),
)


@dataclass(frozen=True)
class Repository:
    """A repository of restic, and what opens it. Only the environment of restic has secrets."""

    location: str
    key_file: Path
    cache: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        return {
            **self.variables,
            "RESTIC_REPOSITORY": self.location,
            "RESTIC_PASSWORD_FILE": str(self.key_file),
            "RESTIC_CACHE_DIR": str(self.cache),
            "RESTIC_PROGRESS_FPS": "0.2",
        }

    @property
    def name(self) -> str:
        """The location without a password that its URL may have."""
        return re.sub(r"(//[^/:@]*):[^/@]*@", r"\1@", self.location)


def run(
    host: Host,
    repository: Repository,
    arguments: Sequence[str],
    *,
    timeout_s: float = SHORT_S,
    stdin: str | None = None,
    on_line: Callable[[str], None] | None = None,
    accepted: tuple[int, ...] = (0,),
    trees: Sequence[Path] = (),
) -> Result:
    """Run restic so that nobody on the machine notices. Raises TljhError in an admin's words.

    It follows no link in `trees`, which users change meanwhile.
    """
    command = ["nice", "-n", "19", "ionice", "-c", "3", "restic", *arguments]
    tops = find_tops(trees)
    if tops and can_wrap(host, tops):
        command = wrap_command(command, tops)
    result = host.run(
        [*DIES_WITH_US, *command],
        timeout_s=timeout_s,
        env=repository.environment(),
        stdin=stdin,
        on_line=on_line,
    )
    if result.code in accepted:
        return result
    raise describe_failure(repository, arguments[0], result)


def describe_failure(repository: Repository, verb: str, result: Result) -> TljhError:
    """Return what failed, with restic's last lines and the fix where the cause is known."""
    text = result.err.strip() or result.out.strip()
    why, fix = "\n".join(text.splitlines()[-4:]), "correct the cause above, then run this again"
    if any(phrase in text for phrase in _NOT_THERE):
        why = f"{why}\nthere is no repository, or it cannot be reached"
        fix = "connect the disk or the server; to create it: sudo tljh backup setup REPOSITORY"
    for phrase, cause, known_fix in _CAUSES:
        if phrase.lower() in text.lower():
            why, fix = f"{cause} (restic: {text.splitlines()[-1]})", known_fix
    return TljhError(f"restic {verb} failed for {repository.name}", why=why, fix=fix)


def exists(host: Host, repository: Repository) -> bool:
    """Return whether the repository is there. Raises TljhError if it cannot be opened."""
    result = host.run(
        [*DIES_WITH_US, "restic", "cat", "config", "--no-lock"],
        timeout_s=SHORT_S,
        env=repository.environment(),
    )
    if result.ok:
        return True
    if any(phrase in result.err for phrase in _NOT_THERE):
        return False
    raise describe_failure(repository, "cat", result)


def unlock(host: Host, repository: Repository) -> None:
    """Remove locks of runs that were killed; those of running ones stay."""
    run(host, repository, ["unlock"])


def restore(
    host: Host, repository: Repository, snapshot: str, paths: Sequence[Path], directory: Path
) -> None:
    """Restore paths of a backup below a directory, each under its whole name."""
    arguments = ["restore", snapshot, "--target", str(directory)]
    for path in paths:
        arguments += ["--include", str(path)]
    run(host, repository, arguments, timeout_s=LONG_S)


@dataclass(frozen=True)
class BackupSnapshot:
    """One backup in the repository; `time` in ISO form."""

    id: str
    time: str
    host: str
    paths: tuple[str, ...]


def list_snapshots(host: Host, repository: Repository) -> tuple[BackupSnapshot, ...]:
    """Return the backups that tljh made, oldest first."""
    result = run(host, repository, ["snapshots", "--json", "--no-lock", "--tag", TAG])
    snapshots: list[dict[str, Any]] = json.loads(result.out) or []
    return tuple(
        BackupSnapshot(
            id=each["short_id"],
            time=each["time"],
            host=each.get("hostname", ""),
            paths=tuple(each.get("paths", ())),
        )
        for each in sorted(snapshots, key=lambda each: str(each["time"]))
    )


def find_snapshot(
    snapshots: Sequence[BackupSnapshot], reference: str | None, repository: Repository
) -> BackupSnapshot:
    """Return the backup with an id, by default the newest. Raises TljhError if there is none."""
    matching = [each for each in snapshots if reference is None or each.id.startswith(reference)]
    if matching:
        return matching[-1]
    times = ", ".join(f"{each.id} ({each.time[:16]})" for each in snapshots[-5:])
    raise TljhError(
        f"there is no backup {reference or 'of tljh'} in {repository.name}",
        why=f"the newest are {times}" if times else "it has none yet",
        fix="list them: sudo tljh backup list",
    )
