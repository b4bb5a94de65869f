"""The wall clock, with a time zone."""

from __future__ import annotations

from datetime import datetime, timezone


def get_utc_time() -> datetime:
    return datetime.now(timezone.utc)
