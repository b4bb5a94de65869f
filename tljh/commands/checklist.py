"""`tljh checklist`: what a hub in production has, as measured on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tljh.base.paths import get_paths
from tljh.host.real import RealHost
from tljh.operations.checklist import read_checklist
from tljh.operations.checklist_item import Item

SIGNS = {"done": "+", "missing": "-", "unknown": "?", "waived": "~"}


@dataclass(frozen=True)
class Checklist:
    """All items; the exit code is 2 while something is missing."""

    items: tuple[Item, ...]

    @property
    def missing(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.state == "missing")

    @property
    def exit_code(self) -> int:
        return 2 if self.missing else 0

    def as_json(self) -> dict[str, Any]:
        return {"missing": len(self.missing), "items": [vars(item) for item in self.items]}

    def as_text(self) -> str:
        lines = []
        for item in self.items:
            lines.append(f"{SIGNS[item.state]} {item.title}: {item.seen}")
            if item.state in ("missing", "unknown"):
                lines += [f"    why: {item.why}"] if item.why else []
                lines += [f"    fix: {item.fix}"] if item.fix else []
        count = len(self.missing)
        lines.append("")
        lines.append(f"{count} of {len(self.items)} missing" if count else "nothing is missing")
        return "\n".join(lines)


def checklist() -> Checklist:
    """Print what a hub in production has, as measured here; the exit code is 2 if some is not."""
    return Checklist(tuple(read_checklist(RealHost(), get_paths())))
