"""TLJH's name for the shortening of account names (`tljh.base.account_names` maps logins)."""

from __future__ import annotations

from tljh.base.account_names import shorten


def generate_system_username(username: str) -> str:
    """Shorten `username`, which has its prefix already, as TLJH does."""
    return shorten(username)
