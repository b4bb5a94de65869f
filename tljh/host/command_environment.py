"""The environment of the programs that tljh runs."""

from __future__ import annotations

import os
from collections.abc import Mapping

# cron's PATH, and that of a plain `su`, has no sbin directories: groupadd, nft and visudo would
# not be found there, which looks like a machine without them.
SYSTEM_DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def build_command_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment with `more`, and every system directory in PATH."""
    environment = {**os.environ, **(more or {})}
    present = [part for part in environment.get("PATH", "").split(os.pathsep) if part]
    missing = [name for name in SYSTEM_DIRECTORIES if name not in present]
    environment["PATH"] = os.pathsep.join([*present, *missing])
    return environment
