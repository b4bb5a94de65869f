"""A trial of an environment as users use it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda.engine import (
    ask_worker,
    build_worker_command,
    find_uv,
    make_line_reader,
    parse_answer,
)
from tljh.host.interface import Host, HostReader

# The server's deadline of the check, and the time for imports and a busy machine.
CHECK_TIMEOUT_S = 600


def list_conflicts(host: HostReader, paths: Paths) -> tuple[str, ...]:
    """Return a sentence for each requirement of an installed distribution that is not met."""
    fields = {"operation": "list_conflicts", "prefix": str(paths.user), "uv": find_uv()}
    return tuple(ask_worker(host, paths, fields, ())["rows"])


def check_environment(
    host: Host, paths: Paths, known_conflicts: Sequence[str], progress: Progress
) -> None:
    """Try the environment as users do. Raises TljhError with what does not work.

    Modules of Jupyter are imported, requirements of packages compared, and a server is started
    without root's rights; of a named environment, the module of its kernel is imported.
    `known_conflicts` were there before.
    """
    kernel = {"modules": ["ipykernel_launcher"], "starts_server": False}
    fields = {
        **(kernel if paths.environment else {}),
        "operation": "check",
        "prefix": str(paths.user),
        "uv": find_uv(),
        "known": list(known_conflicts),
    }
    result = host.run(
        build_worker_command(),
        timeout_s=CHECK_TIMEOUT_S,
        stdin=json.dumps(fields),
        on_line=make_line_reader(progress),
    )
    problems = parse_answer(result, ())["problems"]
    if problems:
        fix = "choose other packages or versions; see also: sudo tljh env history"
        raise TljhError([Finding(p["what"], why=p["why"], fix=fix) for p in problems])
