"""Sizes of memory and files in units for people."""

from __future__ import annotations

_UNITS = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))


def format_size(size_bytes: int) -> str:
    """Return a size with at most one decimal, such as 512M or 1.5G; below 1K in bytes."""
    for unit_bytes, letter in _UNITS:
        if size_bytes >= unit_bytes:
            return f"{round(size_bytes / unit_bytes, 1):g}{letter}"
    return f"{size_bytes} bytes"
