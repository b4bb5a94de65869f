"""Severity of what `tljh status` finds."""

from __future__ import annotations

from enum import IntEnum


class Severity(IntEnum):
    """How bad a finding is; the number is the exit code of `tljh status`."""

    FINE = 0
    BROKEN = 1
    DEGRADED = 2

    @property
    def label(self) -> str:
        """The word before a finding; on a hub that is fine, a finding is a note."""
        return "note" if self is Severity.FINE else self.name.lower()
