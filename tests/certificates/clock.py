"""Another time for all modules that read the clock."""

from __future__ import annotations

import sys
from datetime import datetime

import pytest


def set_clock(monkeypatch: pytest.MonkeyPatch, time: datetime) -> None:
    """Set the clock of all modules, until the end of the test."""
    for name, module in tuple(sys.modules.items()):
        # Not in tljh.base.clock itself: a module that is imported during the test would keep it.
        is_reader = name.startswith("tljh.") and name != "tljh.base.clock"
        if is_reader and "get_utc_time" in vars(module):
            monkeypatch.setattr(module, "get_utc_time", lambda: time)
