"""A question before a change, which `--yes` answers."""

from __future__ import annotations

import sys

from tljh.base.errors import TljhError


def confirm(plan: str, question: str, *, yes: bool) -> None:
    """Print the plan and ask; raise TljhError for a no, and where there is nobody to ask."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise TljhError(
            "this needs a confirmation, and standard input is no terminal",
            why=plan,
            fix="add --yes to do it without a question",
        )
    print(plan, file=sys.stderr)
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise TljhError("nothing was changed", why="the answer was not yes")
