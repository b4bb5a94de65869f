"""The history of the user environment: its snapshots, as they describe themselves.

`tljh/conda/worker/snapshots.py` makes them and goes back to them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh.host.interface import HostReader

DESCRIPTION = "snapshot.json"


@dataclass(frozen=True)
class Snapshot:
    """A state of the environment: when, by whom and by which command it came to be.

    `changes` is its difference from the state before. One with `names` is never pruned. `is_good`
    is the result of the check; None where none was made.
    """

    number: int
    time: str
    user: str
    command: str
    changes: tuple[str, ...]
    names: tuple[str, ...] = ()
    is_good: bool | None = None


def parse_number(name: str) -> int | None:
    """Return the number of the snapshot in a directory `user-N`; None for other names."""
    number = name.removeprefix("user-")
    return int(number) if number != name and number.isdigit() else None


def read_snapshots(host: HostReader, versions: Path) -> tuple[Snapshot, ...]:
    """Return all snapshots, oldest first; the last one is the state of the last known change."""
    snapshots = []
    for name in host.listdir(versions):
        data = host.read(versions / name / DESCRIPTION) if parse_number(name) is not None else None
        if data is not None:
            snapshots.append(_snapshot(json.loads(data)))
    return tuple(sorted(snapshots, key=lambda snapshot: snapshot.number))


def _snapshot(fields: Mapping[str, Any]) -> Snapshot:
    return Snapshot(
        fields["number"],
        fields["time"],
        fields["user"],
        fields["command"],
        tuple(fields["changes"]),
        tuple(fields["names"]),
        fields["is_good"],
    )
