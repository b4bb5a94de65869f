"""A row of the table of settings: a key, where its value went, and what that means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tljh.export.hub_state import ExportedHub
    from tljh.export.values import Values

Builder = Callable[["ExportedHub", "Values"], None]


@dataclass(frozen=True)
class Row:
    """Where a setting went.

    `to` are the values of the chart (NAME and CLASS.TRAIT stand for names), or files of the export
    in angle brackets; empty for a setting without a counterpart. `note` says what differs, or why
    there is none. `build` writes the values; several rows may share one.
    """

    key: str
    to: tuple[str, ...] = ()
    note: str = ""
    build: Builder | None = None


def rows_without(note: str, *keys: str) -> tuple[Row, ...]:
    """Return rows of settings that have no counterpart for the same reason."""
    return tuple(Row(key, (), note) for key in keys)
