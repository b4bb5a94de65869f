"""Requests to the worker process, and its answers as values or as errors with a fix."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.conda.channels import channel_url, format_channels, redact_message
from tljh.host.interface import DIES_WITH_US, Host, HostReader, Result, Running

# One pathological solve took 20 s and 3 to 4 GB; with all of conda-forge an ordinary one needs
# 0.4 GB.
SOLVE_TIMEOUT_S = 300


SOLVE_MEMORY_BYTES = 3 << 30


APPLY_TIMEOUT_S = 2 * 3600


REVERT_TIMEOUT_S = 900


_BY_CHANNEL = "with --conda-channel URL (or TLJH_CONDA_CHANNELS, or user_environment.channels)"


# By the `kind` of a worker's problem.
_FIXES = {
    "channel": f"name a channel that this machine reaches {_BY_CHANNEL}, "
    "or a proxy with HTTPS_PROXY",
    "missing": f"check its spelling, or add the channel that has it {_BY_CHANNEL}, "
    "then run the command again",
    "unsolvable": "change the packages named above, then run the command again",
    "package": "run the command again; if the error stays, the channel's file is damaged",
    "disk": "free some space (df -h), then run the command again",
    "pip": "correct the requirements named above, then run the command again",
}


class Unsolvable(TljhError):
    """No choice of packages satisfies all specs."""


@dataclass(frozen=True)
class Solution:
    """An exact list of packages (`lock`) and its difference from the installed ones."""

    lock: str
    added: Mapping[str, str]
    changed: Mapping[str, tuple[str, str]]
    removed: tuple[str, ...]
    download_bytes: int


@dataclass(frozen=True)
class Build:
    """A request to build an environment at `other` and to exchange it with `prefix`.

    After the exchange `other` contains the previous environment: it is the snapshot. With
    `built`, the environment was already built there and is only renamed to `other`.
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
    # A worker that outlived its killed caller would change the environment behind the next
    # command, which has already recovered.
    return [*DIES_WITH_US, sys.executable, "-I", "-m", "tljh.conda.worker"]


def solve(
    host: HostReader,
    channels: Sequence[str],
    specs: Sequence[str],
    prefix: Path,
    environment: Mapping[str, str],
) -> Solution:
    """Solve for `specs` together with all packages installed in `prefix`; changes nothing.

    Raises Unsolvable, or TljhError when a channel cannot be read.
    """
    request = {
        "operation": "solve",
        "channels": [channel_url(channel) for channel in channels],
        "specs": list(specs),
        "prefix": str(prefix),
        "memory_cap_bytes": SOLVE_MEMORY_BYTES,
    }
    result = host.query(
        worker_command(),
        timeout_s=SOLVE_TIMEOUT_S,
        env=environment,
        stdin=json.dumps(request),
    )
    answer = _answer_of(result, channels)
    return Solution(
        answer["lock"],
        answer["added"],
        {name: (old, new) for name, (old, new) in answer["changed"].items()},
        tuple(answer["removed"]),
        answer["download_bytes"],
    )


def build(
    host: Host,
    request: Build,
    channels: Sequence[str],
    environment: Mapping[str, str],
    progress: Progress,
) -> None:
    """Build at `other`, then exchange: `prefix` never contains a half-built environment."""
    result = host.run(
        worker_command(),
        timeout_s=APPLY_TIMEOUT_S,
        env=environment,
        stdin=_request_text("apply", request),
        on_line=_progress_lines(progress),
    )
    _answer_of(result, channels)


def start_build(
    host: Host, request: Build, directory: Path, environment: Mapping[str, str]
) -> Running:
    """Start to build a new environment in `directory`, in the background.

    The environment in use stays; `finish_build` waits for the end.
    """
    text = _request_text("build", replace(request, other=directory))
    return host.start(worker_command(), timeout_s=APPLY_TIMEOUT_S, env=environment, stdin=text)


def finish_build(running: Running, channels: Sequence[str], progress: Progress) -> None:
    """Wait for the end of `start_build`. Raises TljhError where it failed."""
    _answer_of(running.wait(_progress_lines(progress)), channels)


def _request_text(operation: str, request: Build) -> str:
    fields = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(request).items()
    }
    uv = str(Path(sys.executable).with_name("uv"))
    return json.dumps({"operation": operation, "command": "tljh", "uv": uv, **fields})


def revert(host: Host, record: Mapping[str, Any]) -> None:
    """Restore the environment before a build, from its record in the change journal.

    May be repeated: a second call changes nothing.
    """
    request = {"operation": "revert", **record}
    _answer_of(
        host.run(worker_command(), timeout_s=REVERT_TIMEOUT_S, stdin=json.dumps(request)),
        (),
    )


def _progress_lines(progress: Progress) -> Callable[[str], None]:
    """Return a callback that shows the worker's events, one a line, as progress."""

    def show_event(line: str) -> None:
        event = _parse_line(line)
        if "done" in event:
            progress.advance(event["done"], event["total"], event.get("what", ""))
        elif "step" in event:
            progress.advance(0, 1, event["step"])
        elif "note" in event:
            progress.note(event["note"])

    return show_event


def _parse_line(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _answer_of(result: Result, channels: Sequence[str]) -> dict[str, Any]:
    """Return the answer in the worker's last line of output.

    Raises TljhError for the problem that it reports, or for an exit without an answer.
    """
    message = _parse_line((result.out.strip().splitlines() or [""])[-1])
    if "result" in message:
        return dict(message["result"])
    if "problem" not in message:
        raise TljhError(
            "the process that changes conda environments ended without an answer",
            why=result.err.strip()[-2000:] or f"exit code {result.code}",
            fix="check whether the machine ran out of memory: journalctl -k | tail",
        )
    problem = message["problem"]
    what = problem["what"]
    has_no_solution = problem["kind"] in ("missing", "unsolvable")
    if channels and (has_no_solution or problem["kind"] == "channel"):
        what += f" (channels: {format_channels(channels)})"
    error = Unsolvable if has_no_solution else TljhError
    raise error(
        what,
        why=redact_message(problem["why"], channels) or None,
        fix=_FIXES.get(problem["kind"]),
    )
