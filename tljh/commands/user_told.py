"""User told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Told:
    """What a command did to people: a sentence each, and the same for programs."""

    lines: tuple[str, ...]
    data: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    def as_text(self) -> str:
        return "\n".join(self.lines)

    def as_json(self) -> dict[str, Any]:
        return self.data
