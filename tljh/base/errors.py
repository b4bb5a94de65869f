"""Errors that the user of a command can act on: what is wrong, where, why, and the fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from tljh.base.control_characters import escape_controls


class Exit(IntEnum):
    """Exit codes of every command; documented in docs/reference/exit-codes.md."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNFIT = 3
    LOCKED = 4
    HUNG_UP = 129
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141
    TERMINATED = 143


@dataclass(frozen=True)
class Place:
    """A position in a file; line and column count from 1."""

    path: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        text = self.path
        if self.line is not None:
            text += f", line {self.line}"
        if self.column is not None:
            text += f", column {self.column}"
        return text


@dataclass(frozen=True)
class Finding:
    """One problem, in lower case and without a full stop.

    `why` is evidence, for example the last lines of a unit's log, and may span lines; `fix` is a
    command to paste, or a sentence; names and paths in a command have been quoted for the shell.
    """

    what: str
    where: Place | None = None
    why: str | None = None
    fix: str | None = None

    def as_text(self, label: str = "error") -> str:
        """Return the finding as the lines that commands print."""
        lines = [f"{label}: {self.what}"]
        if self.where is not None:
            lines.append(f"  at {self.where}")
        if self.why is not None:
            first, *rest = self.why.rstrip().splitlines() or [""]
            lines.append(f"  because: {first}")
            lines += [f"    {line}" for line in rest]
        if self.fix is not None:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(map(escape_controls, lines))

    def as_note(self) -> str:
        """Return what is wrong, and where, in one line."""
        return escape_controls(f"{self.what} ({self.where})" if self.where else self.what)

    def as_json(self) -> dict[str, object]:
        """Return the fields of the `errors` list that commands print with `--json`."""
        where = self.where
        return {
            "what": self.what,
            "path": where.path if where else None,
            "line": where.line if where else None,
            "column": where.column if where else None,
            "why": self.why,
            "fix": self.fix,
        }

    @staticmethod
    def from_json(item: Mapping[str, Any]) -> Finding:
        """Return the finding that `as_json` described."""
        where = Place(item["path"], item["line"], item["column"]) if item["path"] else None
        return Finding(item["what"], where, item["why"], item["fix"])


class TljhError(Exception):
    """A failure that the user of a command can act on.

    `tljh.cli.main` alone turns it into text and exit code. It carries one finding or, where
    several problems were found at once, all of them.
    """

    def __init__(
        self,
        what: str | Sequence[Finding],
        *,
        where: Place | None = None,
        why: str | None = None,
        fix: str | None = None,
        exit_code: Exit = Exit.FAILED,
    ) -> None:
        self.findings: tuple[Finding, ...] = (
            (Finding(what, where, why, fix),) if isinstance(what, str) else tuple(what)
        )
        self.exit_code = exit_code
        super().__init__("\n".join(finding.as_text() for finding in self.findings))
