"""What `systemctl show` prints."""

from __future__ import annotations


def properties_shown(text: str) -> list[dict[str, str]]:
    """The properties of each unit that was shown; none for what systemctl said nothing of."""
    blocks = (block for block in text.split("\n\n") if block.strip())
    return [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks
    ]


def properties_of_one(text: str) -> dict[str, str]:
    """The same where one unit was asked for; empty where systemctl said nothing."""
    return next(iter(properties_shown(text)), {})
