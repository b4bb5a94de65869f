"""Failed starts of servers, as the hub's log has them."""

from __future__ import annotations

import re

# As JupyterHub's user.py writes them; a test compares.
FAILED_START = re.compile(
    r"'s server (?:failed to start in|never showed up) |Not starting .*'s server"
    r"|rror (?:starting|waiting for) .*'s server"
)
# A date and a module in brackets come first.
_USER = re.compile(
    r"(?:\[[^]]*\] )?(?:.*?(?:Not starting |rror (?:starting|waiting for) ))?(.+?)'s server"
)


def find_failed_user(line: str) -> str | None:
    """Return the user whose start failed by a line of the hub's log; None for any other line."""
    if not FAILED_START.search(line):
        return None
    match = _USER.match(line)
    return match[1] if match else None
