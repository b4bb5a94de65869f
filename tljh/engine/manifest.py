"""The manifest: what tljh made on a machine, with what it takes to remove each thing.

It is folded from the change journal: the first record of each resource says what was there before
tljh. The journal drops old entries, and is in the prefix, which an admin may delete by hand; the
manifest keeps every first record, and is outside. It may hold secrets of replaced files: 0600.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tljh.engine.resource import Record
from tljh.host.interface import Host, HostReader


@dataclass(frozen=True)
class FirstChange:
    """The first change of a resource; `record` is what was there before it."""

    kind: str
    name: str
    record: Record

    @property
    def key(self) -> tuple[str, str]:
        return self.kind, self.name


def read_manifest(host: HostReader, path: Path) -> list[FirstChange]:
    """Return the first change of every resource, oldest first; empty if there is no manifest."""
    changes = []
    for line in (host.read(path) or b"").splitlines():
        try:
            changes.append(FirstChange(**json.loads(line)))
        except ValueError:
            # A kill in the middle of the last line: the next change writes it again.
            continue
    return changes


def extend_manifest(host: Host, path: Path, changes: Sequence[FirstChange]) -> None:
    """Append those of `changes` whose resource the manifest does not have yet."""
    recorded = {change.key for change in read_manifest(host, path)}
    lines = []
    for change in changes:
        if change.key not in recorded:
            recorded.add(change.key)
            lines.append(json.dumps(asdict(change), sort_keys=True).encode() + b"\n")
    if not lines:
        return
    if host.info(path.parent) is None:
        host.mkdir(path.parent, mode=0o700)
    # A line that a kill cut off must not swallow the next one.
    current = host.read(path) or b""
    cut_off = b"\n" if current and not current.endswith(b"\n") else b""
    host.append(path, cut_off + b"".join(lines))
