"""What commands share: parameters, progress, and a plain result.

A command describes its parameters with `Argument` and `Option`, in one dialect for all;
`tljh.cli.typer_app` translates it for Typer. Importing Typer takes longer than a whole
`tljh-config set`, so no command imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from tljh.base.progress import Progress


@dataclass(frozen=True)
class Argument:
    """A word of the command line; `complete(invocation, incomplete)` offers its values."""

    metavar: str
    help: str
    complete: Callable[[Any, str], list[str]] | None = None


@dataclass(frozen=True)
class Option:
    """A flag; `--yes/--no` has both words of a switch, `-y,--yes` a short and a long one."""

    flag: str
    help: str
    metavar: str | None = None


NameArgument = Annotated[str, Argument("NAME", "A login name.")]


GivesRootOption = Annotated[
    bool, Option("--gives-root", "Allow a group whose members can become root.")
]

NamesArgument = Annotated[list[str], Argument("NAME", "Login names.")]


@dataclass(frozen=True)
class Summary:
    """What a command did: a sentence for each user or thing, and the same as data."""

    lines: tuple[str, ...]
    data: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    def as_text(self) -> str:
        return "\n".join(self.lines)

    def as_json(self) -> dict[str, Any]:
        return self.data


@dataclass(frozen=True)
class PrintedToken:
    """A token, and the address where it counts; as text it is the token alone."""

    token: str
    url: str

    def as_text(self) -> str:
        return self.token

    def as_json(self) -> dict[str, Any]:
        return {"token": self.token, "url": self.url}


def choose_progress_on_stderr(as_json: bool) -> Progress:
    """Return what shows long steps on standard error; nothing with --json."""
    import sys

    from tljh.base.progress import choose_progress

    return choose_progress(sys.stderr, silent=as_json)
