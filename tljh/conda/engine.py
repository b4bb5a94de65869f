"""Asking the worker: what it answers becomes values, what goes wrong an error with its fix."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.conda.channels import channel_url, names_of, without_access
from tljh.host.interface import DIES_WITH_US, Host, HostReader, Result, Running

# One pathological closure was seen to take 20 s and 3 to 4 GB; all of conda-forge needs 0.4 GB.
SOLVE_TIMEOUT_S = 300


SOLVE_MEMORY_BYTES = 3 << 30


APPLY_TIMEOUT_S = 2 * 3600


REVERT_TIMEOUT_S = 900


_BY_CHANNEL = "with --conda-channel URL (or TLJH_CONDA_CHANNELS, or user_environment.channels)"


_FIXES = {
    "channel": f"name a channel that this machine reaches {_BY_CHANNEL}, "
    "or a proxy with HTTPS_PROXY",
    "missing": f"mind its name, or add the channel that has it {_BY_CHANNEL}, "
    "then run the command again",
    "unsolvable": "change what it names, then run the command again",
    "package": "run the command again; if it says the same, the channel's file is damaged",
    "disk": "make room (df -h), then run the command again",
    "pip": "mend the requirements it names, then run the command again",
}


class Unsolvable(TljhError):
    """No choice of packages satisfies what was asked for."""


@dataclass(frozen=True)
class Solution:
    """An exact list of packages (`lock`) and how it differs from what is installed."""

    lock: str
    added: Mapping[str, str]
    changed: Mapping[str, tuple[str, str]]
    removed: tuple[str, ...]
    download_bytes: int


@dataclass(frozen=True)
class Build:
    """What the worker needs to build an environment beside `prefix` and put it in place.

    It is built at `other`; or it was at `built`, and only moves there.
    """

    prefix: Path
    other: Path
    number: int
    cache: Path
    keep_cache: bool
    keep_snapshots: int
    lock: str | None
    specs: tuple[str, ...] = ()
    reinstall: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    requirement_digests: tuple[str, ...] = ()
    built: Path | None = None


def worker_command() -> list[str]:
    # A killed run must not leave somebody behind who goes on changing the environment.
    return [*DIES_WITH_US, sys.executable, "-I", "-m", "tljh.conda.worker"]


def solve(
    host: HostReader,
    channels: Sequence[str],
    specs: Sequence[str],
    prefix: Path,
    environment: Mapping[str, str],
) -> Solution:
    """Work out which packages it takes; changes nothing."""
    request = {
        "operation": "solve",
        "channels": [channel_url(channel) for channel in channels],
        "specs": list(specs),
        "prefix": str(prefix),
        "memory_cap_bytes": SOLVE_MEMORY_BYTES,
    }
    done = host.query(
        worker_command(),
        timeout_s=SOLVE_TIMEOUT_S,
        env=environment,
        stdin=json.dumps(request),
    )
    found = _result(done, channels)
    return Solution(
        found["lock"],
        found["added"],
        {name: (old, new) for name, (old, new) in found["changed"].items()},
        tuple(found["removed"]),
        found["download_bytes"],
    )


def build(
    host: Host,
    request: Build,
    channels: Sequence[str],
    environment: Mapping[str, str],
    progress: Progress,
) -> None:
    """Build and exchange; an environment that isn't whole is never seen in its place."""
    done = host.run(
        worker_command(),
        timeout_s=APPLY_TIMEOUT_S,
        env=environment,
        stdin=_told("apply", request),
        on_line=_follow(progress),
    )
    _result(done, channels)


def begin(host: Host, request: Build, at: Path, environment: Mapping[str, str]) -> Running:
    """Begin to build at `at`; nothing else changes, and nothing is put in place."""
    question = _told("build", replace(request, other=at))
    return host.start(worker_command(), timeout_s=APPLY_TIMEOUT_S, env=environment, stdin=question)


def finish(running: Running, channels: Sequence[str], progress: Progress) -> None:
    """Wait for what `begin` began."""
    _result(running.wait(_follow(progress)), channels)


def _told(operation: str, request: Build) -> str:
    told = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(request).items()
    }
    uv = str(Path(sys.executable).with_name("uv"))
    return json.dumps({"operation": operation, "command": "tljh", "uv": uv, **told})


def revert(host: Host, record: Mapping[str, Any]) -> None:
    """Bring back the environment that stood before a build; twice is once."""
    request = {"operation": "revert", **record}
    _result(
        host.run(worker_command(), timeout_s=REVERT_TIMEOUT_S, stdin=json.dumps(request)),
        (),
    )


def _follow(progress: Progress) -> Callable[[str], None]:
    """Passes the worker's events on as they come."""

    def follow(line: str) -> None:
        event = _parsed(line)
        if "done" in event:
            progress.advance(event["done"], event["total"], event.get("what", ""))
        elif "step" in event:
            progress.advance(0, 1, event["step"])
        elif "note" in event:
            progress.note(event["note"])

    return follow


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _result(done: Result, channels: Sequence[str]) -> dict[str, Any]:
    """The worker's last line. Raises TljhError with its problem, or with how it ended."""
    answer = _parsed((done.out.strip().splitlines() or [""])[-1])
    if "result" in answer:
        result = answer["result"]
        return dict(result)
    if "problem" not in answer:
        raise TljhError(
            "the process that changes conda environments ended without an answer",
            why=done.err.strip()[-2000:] or f"exit code {done.code}",
            fix="look whether the machine ran out of memory: journalctl -k | tail",
        )
    problem = answer["problem"]
    what = problem["what"]
    has_no_solution = problem["kind"] in ("missing", "unsolvable")
    if channels and (has_no_solution or problem["kind"] == "channel"):
        what += f" (channels: {names_of(channels)})"
    error = Unsolvable if has_no_solution else TljhError
    raise error(
        what,
        why=without_access(problem["why"], channels) or None,
        fix=_FIXES.get(problem["kind"]),
    )
