"""TLJH's name for the shortening of account names (`tljh.base.account_names` maps logins)."""

from __future__ import annotations

from tljh.base.account_names import shorten


def generate_system_username(username: str) -> str:
    """Shorten a Linux account name as TLJH does; `username` has its prefix already."""
    return shorten(username)
