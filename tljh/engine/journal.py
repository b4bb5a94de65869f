"""The change journal: every change of the machine, with what its rollback needs.

`pending/` is the change in progress; it becomes `<N>/` when it is kept and `rolled-back/` when it
is not. Every intent is on the disk before its effect, so that the next command after a crash can
roll it back. Entries hold before-images, which may be secrets: directories are 0700, files 0600.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tljh.base.errors import TljhError
from tljh.engine.manifest import FirstChange, extend_manifest
from tljh.engine.resource import Record, Resource
from tljh.host.interface import Host, HostReader

PENDING = "pending"
ROLLED_BACK = "rolled-back"
UNAPPLIED = "unapplied"

# Enough for the changes of a term; an entry has a few kilobytes.
KEPT_ENTRIES = 50


@dataclass(frozen=True)
class Intent:
    """A change that was about to be made: its kind, its name, and what its rollback needs.

    `done` is false for a change whose effect may have begun, and may not have ended.
    """

    number: int
    kind: str
    name: str
    record: Record
    done: bool = False


@dataclass(frozen=True)
class Entry:
    """A kept change: a state of the history.

    `user` is who gave `command`; `files` is the configuration as it was applied, by path below
    config/.
    """

    number: int
    time: str
    user: str
    command: str
    changes: tuple[str, ...]
    files: Mapping[str, bytes]


class Journal:
    """The journal in one directory; `manifest` is the file that outlives its entries."""

    def __init__(self, directory: Path, manifest: Path | None = None) -> None:
        self.directory = directory
        self.pending = directory / PENDING
        self.manifest = manifest

    def begin(
        self,
        host: Host,
        *,
        user: str,
        command: str,
        changes: tuple[str, ...],
        files: Mapping[str, bytes],
        unapplied: Mapping[str, bytes] | None = None,
    ) -> None:
        """Open the pending entry. There must be none: roll it back first.

        If the change replaces edits that were never applied, `unapplied` holds these files: when
        the change is kept, they become the state before it.
        """
        for directory in (self.directory.parent.parent, self.directory.parent, self.directory):
            if host.info(directory) is None:
                mode = 0o755 if directory == self.directory.parent.parent else 0o700
                host.mkdir(directory, mode=mode)
        self._split_off_unapplied(host)
        host.remove(self.pending)
        # A kill may come between two writes. A pending entry without a header could not be
        # listed, so it is written under another name and renamed once it is complete.
        new = self.directory / "new"
        host.remove(new)
        host.mkdir(new, mode=0o700)
        host.write(new / "entry.json", _format_header(user, command, changes, files), mode=0o600)
        if unapplied is not None:
            header = _format_header(user, f"edited, not applied before {command}", (), unapplied)
            host.mkdir(new / UNAPPLIED, mode=0o700)
            host.write(new / UNAPPLIED / "entry.json", header, mode=0o600)
        host.rename(new, self.pending)

    def intend(self, host: Host, number: int, resource: Resource) -> None:
        """Record what a rollback of this step needs; returns once it is on the disk."""
        line = {
            "number": number,
            "kind": resource.kind,
            "name": resource.name,
            "record": resource.before(host),
        }
        host.append(self.pending / "steps.jsonl", _encode_bytes(line))

    def mark_done(self, host: Host, number: int) -> None:
        host.append(self.pending / "steps.jsonl", _encode_bytes({"done": number}))

    def keep(self, host: Host) -> int:
        """Rename the pending entry to the next number, remove old entries, return the number.

        From the rename on, the change is kept. A failure after it loses nothing: the next change
        splits off the unapplied files, and removes old entries.
        """
        if self.manifest:
            # Before the rename: a kill in between must not leave a change that no uninstall knows.
            extend_manifest(host, self.manifest, self._changes_of(host, self.pending))
        number = max(self.numbers(host), default=0) + 1
        if host.info(self.pending / UNAPPLIED):
            number += 1
        host.rename(self.pending, self.directory / str(number))
        self._split_off_unapplied(host)
        numbers = self.numbers(host)
        # The first entry is never removed: it is the state as installed.
        for expired in numbers[1 : max(1, len(numbers) - KEPT_ENTRIES + 1)]:
            host.remove(self.directory / str(expired))
        return number

    def discard(self, host: Host) -> None:
        """Remove the pending entry of a change that worked and is no state of the history."""
        # Renamed first: a kill while the files are removed must not leave half of an entry, of
        # which the next command would roll back the steps that are left.
        done = self.directory / "done"
        host.remove(done)
        host.rename(self.pending, done)
        host.remove(done)

    def _split_off_unapplied(self, host: Host) -> None:
        """Make a separate state, the one before it, of unapplied files in the newest entry.

        The entry with the highest number counts as the current state, also after a kill between the
        two renames. So the change is renamed first, and `begin` repeats the second rename.
        """
        number = max(self.numbers(host), default=0)
        unapplied = self.directory / str(number) / UNAPPLIED
        if host.info(unapplied):
            host.rename(unapplied, self.directory / str(number - 1))

    def set_aside(self, host: Host) -> None:
        """Rename the pending entry, now rolled back; it replaces an earlier `rolled-back` one."""
        host.remove(self.directory / ROLLED_BACK)
        host.rename(self.pending, self.directory / ROLLED_BACK)

    def last_rolled_back(self, host: HostReader) -> Entry | None:
        """Return the change that was rolled back last; None if one was kept since."""
        raw = host.read(self.directory / ROLLED_BACK / "entry.json")
        if raw is None:
            return None
        entry = _parse_entry(0, json.loads(raw))
        numbers = self.numbers(host)
        is_over = bool(numbers) and self.entry(host, numbers[-1]).time >= entry.time
        return None if is_over else entry

    def is_pending(self, host: HostReader) -> bool:
        return host.info(self.pending) is not None

    def changes(self, host: HostReader) -> list[FirstChange]:
        """Return the changes of all entries, the pending one included, oldest first."""
        entries = [self.directory / str(number) for number in self.numbers(host)]
        return [
            change for entry in [*entries, self.pending] for change in self._changes_of(host, entry)
        ]

    def changes_since(self, host: HostReader, number: int) -> list[FirstChange]:
        """Return the changes of the entries after `number`, oldest first."""
        return [
            change
            for entry in self.numbers(host)
            if entry > number
            for change in self._changes_of(host, self.directory / str(entry))
        ]

    def _changes_of(self, host: HostReader, entry: Path) -> list[FirstChange]:
        return [
            FirstChange(intent.kind, intent.name, intent.record)
            for intent in self._intents_of(host, entry)
        ]

    def intents(self, host: HostReader) -> list[Intent]:
        """Return the changes of the pending entry, in the order they were made."""
        return self._intents_of(host, self.pending)

    def _intents_of(self, host: HostReader, entry: Path) -> list[Intent]:
        intents: dict[int, Intent] = {}
        for line in (host.read(entry / "steps.jsonl") or b"").splitlines():
            try:
                item = json.loads(line)
            except ValueError:
                # A kill in the middle of the last line: its effect had not begun.
                continue
            if "done" in item:
                intents[item["done"]] = replace(intents[item["done"]], done=True)
            else:
                intents[item["number"]] = Intent(
                    item["number"], item["kind"], item["name"], item["record"]
                )
        return [intents[number] for number in sorted(intents)]

    def numbers(self, host: HostReader) -> list[int]:
        """Return the numbers of all states, oldest first; the last one is the current state."""
        return sorted(int(name) for name in host.listdir(self.directory) if name.isdigit())

    def entry(self, host: HostReader, number: int) -> Entry:
        """Return a state of the history. Raises TljhError, with the existing numbers, if none."""
        raw = host.read(self.directory / str(number) / "entry.json")
        if raw is None:
            numbers = self.numbers(host)
            raise TljhError(
                f"there is no state {number} in the history",
                why=f"it has {', '.join(map(str, numbers))}" if numbers else "it is empty",
                fix="list the states: sudo tljh-config history",
            )
        return _parse_entry(number, json.loads(raw))

    def last_files(self, host: HostReader) -> Mapping[str, bytes] | None:
        """Return the files of the current state; None before the first install."""
        numbers = self.numbers(host)
        return self.entry(host, numbers[-1]).files if numbers else None

    def entries(self, host: HostReader) -> list[Entry]:
        return [self.entry(host, number) for number in self.numbers(host)]


def _format_header(
    user: str, command: str, changes: tuple[str, ...], files: Mapping[str, bytes]
) -> bytes:
    return _encode_bytes(
        {
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "user": user,
            "command": command,
            "changes": list(changes),
            "files": {path: base64.b64encode(data).decode() for path, data in files.items()},
        }
    )


def _parse_entry(number: int, header: Mapping[str, Any]) -> Entry:
    return Entry(
        number,
        header["time"],
        header["user"],
        header["command"],
        tuple(header["changes"]),
        {path: base64.b64decode(data) for path, data in header["files"].items()},
    )


def _encode_bytes(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode() + b"\n"
