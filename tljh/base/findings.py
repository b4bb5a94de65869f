"""Findings."""

from __future__ import annotations

from enum import IntEnum


class Severity(IntEnum):
    """How bad a finding is; the number is the exit code of `tljh status`."""

    FINE = 0
    BROKEN = 1
    DEGRADED = 2

    @property
    def of_a_finding(self) -> str:
        """What a finding of this severity is called: one of a hub that is fine is a note."""
        return "note" if self is Severity.FINE else self.name.lower()
