"""Requests to the worker process, and its answers as values or as errors with a fix."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda.channels import (
    build_package_environment,
    format_channels,
    get_channel_url,
    redact_message,
)
from tljh.host.interface import DIES_WITH_US, BackgroundCommand, Host, HostReader, Result

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
    "snapshot": "go back to another one: sudo tljh env history",
    "request": "write it as NAME, NAME=VERSION or 'NAME>=VERSION'",
    "unrepaired": "go back to an earlier snapshot: sudo tljh env history",
    "file": "make the lock for the platform of this machine, with an environment `default`",
    "absent": "list what is installed: tljh env list",
    "from_pip": "run the command again with --pip",
    "from_conda": "run the command again without --pip",
}


class UnsolvableSpecs(TljhError):
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
class BuildRequest:
    """A request to build an environment at `other` and to exchange it with `prefix`.

    After the exchange `other` contains the previous environment. With `built`, the environment
    was already built there and is only renamed to `other`. `removed` are the conda packages that
    `command` removes, for conda's history; `uninstall` are distributions of pip. With
    `is_complete`, pip adds no dependencies to the requirements.
    """

    prefix: Path
    other: Path
    number: int
    cache: Path
    keep_cache: bool
    lock: str | None
    specs: tuple[str, ...] = ()
    reinstall: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    requirement_digests: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    uninstall: tuple[str, ...] = ()
    is_upgrade: bool = False
    is_complete: bool = False
    command: str = "tljh"
    built: Path | None = None


def build_worker_command() -> list[str]:
    # A worker that outlived its killed caller would change the environment behind the next
    # command, which has already recovered.
    return [*DIES_WITH_US, sys.executable, "-I", "-m", "tljh.conda.worker"]


def ask_worker(
    host: HostReader, paths: Paths, fields: Mapping[str, Any], channels: Sequence[str]
) -> Any:
    """Return the worker's answer to a question that reads only."""
    result = host.query(
        build_worker_command(),
        timeout_s=SOLVE_TIMEOUT_S,
        env=build_package_environment(host, paths, os.environ),
        stdin=json.dumps(fields),
    )
    return parse_answer(result, channels)


def solve(
    host: HostReader,
    channels: Sequence[str],
    specs: Sequence[str],
    prefix: Path,
    environment: Mapping[str, str],
) -> Solution:
    """Find versions that satisfy `specs` and all packages in `prefix`; change nothing.

    Raises UnsolvableSpecs, or TljhError when a channel cannot be read.
    """
    request = {
        "operation": "solve",
        "channels": [get_channel_url(channel) for channel in channels],
        "specs": list(specs),
        "prefix": str(prefix),
        "memory_cap_bytes": SOLVE_MEMORY_BYTES,
    }
    result = host.query(
        build_worker_command(),
        timeout_s=SOLVE_TIMEOUT_S,
        env=environment,
        stdin=json.dumps(request),
    )
    answer = parse_answer(result, channels)
    return Solution(
        answer["lock"],
        answer["added"],
        {name: (old, new) for name, (old, new) in answer["changed"].items()},
        tuple(answer["removed"]),
        answer["download_bytes"],
    )


def build(
    host: Host,
    request: BuildRequest,
    channels: Sequence[str],
    environment: Mapping[str, str],
    progress: Progress,
) -> None:
    """Build an environment at the request's `other`, then exchange it with `prefix`.

    So `prefix` never contains a half-built environment.
    """
    result = host.run(
        build_worker_command(),
        timeout_s=APPLY_TIMEOUT_S,
        env=environment,
        stdin=_format_request("apply", request),
        on_line=make_line_reader(progress),
    )
    parse_answer(result, channels)


def start_build(
    host: Host, request: BuildRequest, directory: Path, environment: Mapping[str, str]
) -> BackgroundCommand:
    """Start to build a new environment in `directory`, in the background.

    The environment in use stays; `finish_build` waits for the end.
    """
    text = _format_request("build", replace(request, other=directory))
    return host.start(
        build_worker_command(), timeout_s=APPLY_TIMEOUT_S, env=environment, stdin=text
    )


def finish_build(running: BackgroundCommand, channels: Sequence[str], progress: Progress) -> None:
    """Wait for the end of `start_build`. Raises TljhError where it failed."""
    parse_answer(running.wait(make_line_reader(progress)), channels)


def _format_request(operation: str, request: BuildRequest) -> str:
    fields = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(request).items()
    }
    return json.dumps({"operation": operation, "uv": find_uv(), **fields})


def find_uv() -> str:
    """Return the path of uv in the hub environment."""
    return str(Path(sys.executable).with_name("uv"))


def revert(host: Host, record: Mapping[str, Any]) -> None:
    """Restore the environment before a build, from its record in the change journal.

    May be repeated: a second call changes nothing.
    """
    request = {"operation": "revert", **record}
    parse_answer(
        host.run(build_worker_command(), timeout_s=REVERT_TIMEOUT_S, stdin=json.dumps(request)),
        (),
    )


def make_line_reader(progress: Progress) -> Callable[[str], None]:
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


def parse_answer(result: Result, channels: Sequence[str]) -> dict[str, Any]:
    """Return the worker's answer: the last line of its output, in JSON.

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
    error = UnsolvableSpecs if has_no_solution else TljhError
    raise error(
        what,
        why=redact_message(problem["why"], channels) or None,
        fix=_FIXES.get(problem["kind"]),
    )
