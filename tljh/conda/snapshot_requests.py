"""Requests to the worker about snapshots; see `tljh/conda/worker/snapshots.py` for what it does."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda.channels import build_package_environment
from tljh.conda.engine import build_worker_command, make_line_reader, parse_answer
from tljh.host.interface import Host, HostReader

# A first snapshot copies the whole environment.
TIMEOUT_S = 3600

# As long as an installation by pip or conda may take, which holds the lock meanwhile.
LOCK_TIMEOUT_S = 600


@dataclass(frozen=True)
class SnapshotLimits:
    """How many snapshots are kept, and how much disk space their content may take."""

    number: int
    size_bytes: int


@dataclass(frozen=True)
class Cause:
    """What changed the environment, for the history; `is_good` is the result of a check of it."""

    user: str
    command: str
    is_good: bool | None = None


# Of a change that was found, and that no command of ours has seen.
UNKNOWN_CAUSE = Cause("", "")


@dataclass(frozen=True)
class Comparison:
    """What leads from one state of the environment to another.

    `packages` and `paths` have a line for each package and file; `summary` has the packages or,
    where none differs, one line for the files.
    """

    packages: tuple[str, ...]
    summary: tuple[str, ...]
    paths: tuple[str, ...]


def lock_environment(host: Host, paths: Paths) -> AbstractContextManager[None]:
    """Return the lock for whatever reads or changes the files of the user environment."""
    return host.lock(paths.environment_lock, timeout_s=LOCK_TIMEOUT_S)


def record(host: Host, paths: Paths, cause: Cause, limits: SnapshotLimits) -> tuple[int, bool]:
    """Make a snapshot if the environment has changed; return the last number, and if it is new.

    The caller holds the lock of the environment.
    """
    result = host.run(
        build_worker_command(),
        timeout_s=TIMEOUT_S,
        stdin=json.dumps(_format_record_request(paths, cause, limits)),
    )
    answer = parse_answer(result, ())
    return answer["number"], answer["is_new"]


def _format_record_request(paths: Paths, cause: Cause, limits: SnapshotLimits) -> dict[str, Any]:
    return {
        "operation": "record",
        "prefix": str(paths.user),
        "versions": str(paths.versions),
        "most_snapshots": limits.number,
        "most_bytes": limits.size_bytes,
        **vars(cause),
    }


def compare(host: HostReader, paths: Paths, old: int, new: int | None) -> Comparison:
    """Return what leads from a snapshot to another one, or to the environment as it is."""
    request = {
        "operation": "compare",
        "prefix": str(paths.user),
        "versions": str(paths.versions),
        "old": old,
        "new": new,
    }
    answer = parse_answer(
        host.query(build_worker_command(), timeout_s=TIMEOUT_S, stdin=json.dumps(request)), ()
    )
    return Comparison(tuple(answer["packages"]), tuple(answer["summary"]), tuple(answer["paths"]))


def restore(
    host: Host, paths: Paths, snapshot: int, other: Path, progress: Progress
) -> Mapping[str, Any]:
    """Exchange the environment with that of a snapshot, which is built at `other`."""
    request = {
        "operation": "restore",
        "prefix": str(paths.user),
        "versions": str(paths.versions),
        "snapshot": snapshot,
        "other": str(other),
    }
    result = host.run(
        build_worker_command(),
        timeout_s=TIMEOUT_S,
        # Files that were edited in place may have to be fetched from a channel.
        env=build_package_environment(host, paths, os.environ),
        stdin=json.dumps(request),
        on_line=make_line_reader(progress),
    )
    return parse_answer(result, ())


def describe(host: Host, paths: Paths, snapshot: int, **changes: Any) -> None:
    """Replace fields of a snapshot's description, such as its `names`."""
    _run(
        host,
        {
            "operation": "describe",
            "versions": str(paths.versions),
            "number": snapshot,
            "changes": changes,
        },
    )


def remove_after(host: Host, versions: Path, last: int) -> None:
    """Remove the snapshots with a higher number than `last`. May be repeated."""
    _run(host, {"operation": "remove_after", "versions": str(versions), "last": last})


def _run(host: Host, request: Mapping[str, Any]) -> None:
    parse_answer(
        host.run(build_worker_command(), timeout_s=TIMEOUT_S, stdin=json.dumps(request)), ()
    )
