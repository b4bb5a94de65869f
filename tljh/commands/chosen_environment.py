"""The option `--env` of `tljh env`: the environment that a command is about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from shlex import quote
from typing import Annotated

from tljh.base.errors import TljhError
from tljh.base.paths import Paths, get_paths
from tljh.commands.parameters import Option
from tljh.host.real import RealHost
from tljh.operations.named_environments import require_name

EnvOption = Annotated[
    str, Option("--env", "A named environment; that of all users without it.", "NAME")
]

# Commands in messages, which are written for the environment of all users.
_COMMAND = re.compile(
    r"\btljh env (install|remove|update|list|check|repair|export|apply|history|diff|snapshot"
    r"|rollback|record)\b"
)


@contextmanager
def choose_environment(name: str) -> Iterator[Paths]:
    """Yield the paths of the environment; the block's errors name commands with `--env`."""
    if not name:
        yield get_paths()
        return
    paths = require_name(RealHost(), get_paths(), name)
    try:
        yield paths
    except TljhError as error:
        findings = [
            replace(
                finding,
                what=name_commands(finding.what, name),
                why=finding.why and name_commands(finding.why, name),
                fix=finding.fix and name_commands(finding.fix, name),
            )
            for finding in error.findings
        ]
        raise TljhError(findings, exit_code=error.exit_code) from error


def name_commands(text: str, name: str) -> str:
    """Return a message with `--env` in its commands, where there is a name."""
    words = f"--env {quote(name)}"
    return _COMMAND.sub(lambda match: f"{match[0]} {words}", text) if name else text
