"""The one store of what was changed, by whom, and how to take it back.

`pending/` is the change at work; it becomes `<N>/` when it is kept and `rolled-back/` when it is
not. Every intent is on the disk before its effect, so whoever comes after a crash can undo it.
Entries hold before-images, which may be secrets: directories are 0700, files 0600.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tljh.base.errors import TljhError
from tljh.engine.resource import Record, Resource
from tljh.host.interface import Host, HostReader

PENDING = "pending"


ROLLED_BACK = "rolled-back"


UNAPPLIED = "unapplied"


# Enough to go back over a term's changes; an entry is some kilobytes.
KEPT_ENTRIES = 50


@dataclass(frozen=True)
class Intent:
    """A change that was about to be made: its kind, its name and what its undo needs."""

    number: int
    kind: str
    name: str
    record: Record
    done: bool = False


@dataclass(frozen=True)
class Entry:
    """A kept change. `files` is the configuration as it was applied, by path below config/."""

    number: int
    time: str
    who: str
    command: str
    changes: tuple[str, ...]
    files: Mapping[str, bytes]


class Journal:
    """The journal below one directory of a machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pending = directory / PENDING

    def begin(
        self,
        host: Host,
        *,
        who: str,
        command: str,
        changes: tuple[str, ...],
        files: Mapping[str, bytes],
        unapplied: Mapping[str, bytes] | None = None,
    ) -> None:
        """Open the pending entry; there must be none.

        `unapplied` files, which the change is about to replace, become an entry of their own
        before it when it is kept.
        """
        for directory in (self.directory.parent.parent, self.directory.parent, self.directory):
            if host.info(directory) is None:
                mode = 0o755 if directory == self.directory.parent.parent else 0o700
                host.mkdir(directory, mode=mode)
        self._unfold(host)
        host.remove(self.pending)
        # Made beside and renamed: a pending entry without its header cannot exist.
        making = self.directory / "new"
        host.remove(making)
        host.mkdir(making, mode=0o700)
        host.write(making / "entry.json", _header(who, command, changes, files), mode=0o600)
        if unapplied is not None:
            header = _header(who, f"edited, not applied before {command}", (), unapplied)
            host.mkdir(making / UNAPPLIED, mode=0o700)
            host.write(making / UNAPPLIED / "entry.json", header, mode=0o600)
        host.rename(making, self.pending)

    def intend(self, host: Host, number: int, resource: Resource) -> None:
        line = {
            "number": number,
            "kind": resource.kind,
            "name": resource.name,
            "record": resource.before(host),
        }
        host.append(self.pending / "steps.jsonl", _as_bytes(line))

    def mark_done(self, host: Host, number: int) -> None:
        host.append(self.pending / "steps.jsonl", _as_bytes({"done": number}))

    def keep(self, host: Host) -> int:
        """Turn the pending entry into the next numbered one; returns its number."""
        number = max(self.numbers(host), default=0) + 1
        if host.info(self.pending / UNAPPLIED):
            number += 1
        host.rename(self.pending, self.directory / str(number))
        self._unfold(host)
        numbers = self.numbers(host)
        # The first stays for ever: it is the state as installed.
        for old in numbers[1 : max(1, len(numbers) - KEPT_ENTRIES + 1)]:
            host.remove(self.directory / str(old))
        return number

    def _unfold(self, host: Host) -> None:
        """Give the files that the last kept change replaced the number before its own.

        After it has its number: the last one must always be what runs.
        """
        number = max(self.numbers(host), default=0)
        unapplied = self.directory / str(number) / UNAPPLIED
        if host.info(unapplied):
            host.rename(unapplied, self.directory / str(number - 1))

    def drop(self, host: Host) -> None:
        """Put the pending entry aside after its changes were undone; the last one is kept."""
        host.remove(self.directory / ROLLED_BACK)
        host.rename(self.pending, self.directory / ROLLED_BACK)

    def is_pending(self, host: HostReader) -> bool:
        return host.info(self.pending) is not None

    def intents(self, host: HostReader, where: str = PENDING) -> list[Intent]:
        """The changes of an entry, in the order they were made."""
        found: dict[int, Intent] = {}
        for line in (host.read(self.directory / where / "steps.jsonl") or b"").splitlines():
            try:
                item = json.loads(line)
            except ValueError:
                # A kill in the middle of the last line: its effect had not begun.
                continue
            if "done" in item:
                old = found[item["done"]]
                found[old.number] = Intent(old.number, old.kind, old.name, old.record, True)
            else:
                found[item["number"]] = Intent(
                    item["number"], item["kind"], item["name"], item["record"]
                )
        return [found[number] for number in sorted(found)]

    def numbers(self, host: HostReader) -> list[int]:
        return sorted(int(name) for name in host.listdir(self.directory) if name.isdigit())

    def entry(self, host: HostReader, number: int) -> Entry:
        """Raises TljhError, naming those there are, when there is no such entry."""
        raw = host.read(self.directory / str(number) / "entry.json")
        if raw is None:
            numbers = self.numbers(host)
            raise TljhError(
                f"there is no state {number} in the history",
                why=f"it has {', '.join(map(str, numbers))}" if numbers else "it is empty",
                fix="see what there is: sudo tljh-config history",
            )
        return _entry(number, json.loads(raw))

    def last_files(self, host: HostReader) -> Mapping[str, bytes] | None:
        """The configuration that runs; None before there is any."""
        numbers = self.numbers(host)
        return self.entry(host, numbers[-1]).files if numbers else None

    def entries(self, host: HostReader) -> list[Entry]:
        return [self.entry(host, number) for number in self.numbers(host)]

    def made(self, host: HostReader) -> list[tuple[str, str, Record]]:
        """The manifest: kind, name and first before-image of all that kept entries changed."""
        first: dict[tuple[str, str], Record] = {}
        for number in self.numbers(host):
            for intent in self.intents(host, str(number)):
                first.setdefault((intent.kind, intent.name), intent.record)
        return [(kind, name, record) for (kind, name), record in first.items()]


def _header(who: str, command: str, changes: tuple[str, ...], files: Mapping[str, bytes]) -> bytes:
    return _as_bytes(
        {
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "who": who,
            "command": command,
            "changes": list(changes),
            "files": {path: base64.b64encode(data).decode() for path, data in files.items()},
        }
    )


def _entry(number: int, header: Mapping[str, Any]) -> Entry:
    return Entry(
        number,
        header["time"],
        header["who"],
        header["command"],
        tuple(header["changes"]),
        {path: base64.b64decode(data) for path, data in header["files"].items()},
    )


def _as_bytes(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode() + b"\n"
