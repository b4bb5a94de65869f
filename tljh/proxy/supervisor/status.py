"""What the supervisor reports: lines in its log, the state file, and systemd's status line."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tljh.base.paths import Paths
from tljh.systemd.notify import notify


@dataclass(frozen=True)
class ProxyState:
    """The content of state.json: processes by their role, and the last failure.

    `serving` is the number of the Traefik that serves, and `configuration` its digest.
    """

    serving: int | None
    configuration: str | None
    pid: int | None
    ready: bool
    starting: int | None
    draining: list[int]
    last_error: str


def publish_state(runtime: Path, state: ProxyState, *lines: str) -> None:
    """Write the state file, and send systemd `lines` with a status text."""
    path = runtime / Paths.proxy_state.name
    new_file = path.with_suffix(".new")
    new_file.write_text(json.dumps(asdict(state)) + "\n", encoding="utf-8")
    new_file.replace(path)
    pid = f"process {state.pid}" if state.pid else "none, starting again"
    notify(*lines, f"STATUS=serving: {pid}; draining: {len(state.draining)}")


def log(message: str) -> None:
    """Write a line to the service's log."""
    print(f"traefik supervisor: {message}", file=sys.stderr, flush=True)
