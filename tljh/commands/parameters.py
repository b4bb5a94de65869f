"""How a verb says more about its parameters than their types do.

`tljh.cli.typer_app` makes Typer's own of these. Verbs do not import Typer themselves where they are
used all the time, because it takes longer to load than they take to run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Argument:
    """A word of the command line; `complete(invocation, incomplete)` offers what it can be."""

    metavar: str
    help: str
    complete: Callable[[Any, str], list[str]] | None = None


@dataclass(frozen=True)
class Option:
    """A flag with its name."""

    flag: str
    help: str
