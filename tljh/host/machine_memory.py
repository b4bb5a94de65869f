"""The machine's memory, as Linux counts it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tljh.host.interface import HostReader

MEMINFO = Path("/proc/meminfo")


def read_memory(host: HostReader) -> Mapping[str, int]:
    """Return the fields of /proc/meminfo, such as MemTotal and MemAvailable, in bytes."""
    return parse_memory((host.read(MEMINFO) or b"").decode())


def parse_memory(meminfo: str) -> Mapping[str, int]:
    """Return the fields of the text of /proc/meminfo, in bytes."""
    fields = re.findall(r"^(\w+):\s+(\d+) kB", meminfo, re.M)
    return {name: int(kib) << 10 for name, kib in fields}
