"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

INTERVAL_S = 0.2


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 60) -> None:
    """Check `condition` until it is true. Raises AssertionError with `what` at the deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(INTERVAL_S)
