"""TLJH's name for the shortening of account names; the mapping of logins is `tljh.hub.names`."""

from tljh.hub.names import shortened


def generate_system_username(username: str) -> str:
    """Shorten `username`, which has its prefix already, as TLJH does."""
    return shortened(username)
