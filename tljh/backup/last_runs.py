"""When the last backup was made and checked, and why the last attempt failed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from tljh.host.interface import Host, HostReader


@dataclass(frozen=True)
class LastRuns:
    """Times in ISO form, UTC; an error is None after a success."""

    completed: str | None = None
    snapshot: str | None = None
    error: str | None = None
    checked: str | None = None
    check_error: str | None = None

    @property
    def completed_at(self) -> datetime | None:
        return datetime.fromisoformat(self.completed) if self.completed else None

    @property
    def checked_at(self) -> datetime | None:
        return datetime.fromisoformat(self.checked) if self.checked else None


def read_last_runs(host: HostReader, path: Path) -> LastRuns:
    """Read the file; one that another program damaged counts as missing."""
    try:
        fields = json.loads(host.read(path) or b"{}")
        runs = LastRuns(**{name: fields.get(name) for name in LastRuns.__dataclass_fields__})
        _ = runs.completed_at, runs.checked_at
    except (ValueError, TypeError, AttributeError):
        return LastRuns()
    return runs


def write_last_runs(host: Host, path: Path, runs: LastRuns) -> None:
    host.write(path, json.dumps(asdict(runs), indent=2).encode() + b"\n", mode=0o600)
