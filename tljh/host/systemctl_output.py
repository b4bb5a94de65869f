"""Parser of the output of `systemctl show`."""

from __future__ import annotations


def parse_units(text: str) -> list[dict[str, str]]:
    """Return the properties of each unit in the output; units are separated by an empty line."""
    blocks = (block for block in text.split("\n\n") if block.strip())
    return [
        dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks
    ]


def parse_unit(text: str) -> dict[str, str]:
    """Return the properties of the first unit in the output; empty if there is none."""
    return next(iter(parse_units(text)), {})
