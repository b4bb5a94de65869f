"""`tljh support`: one file to attach to a question, without secrets."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.commands.parameters import Option, Summary, choose_progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations.support import write_support_file


def support(
    *,
    output: Annotated[
        str | None, Option("--output", "The file to write; without it, one in /root.", "FILE")
    ] = None,
    as_json: bool = False,
) -> Summary:
    """Write versions, findings, configuration and logs into one file, with secrets removed."""
    place = Path(output).absolute() if output else None
    progress = choose_progress_on_stderr(as_json)
    written = write_support_file(RealHost(), get_paths(), place, progress)
    lines = (
        f"{format_count(len(written.names), 'text')} in {written.path}, which only root can read.",
        "Passwords, tokens and keys are removed; names of users and addresses are not.",
        f"Look through it before you send it: sudo tar -xzOf {quote(str(written.path))} | less",
    )
    return Summary(lines, {"path": str(written.path), "texts": list(written.names)})
