"""The environment of the programs that tljh runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

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


@contextmanager
def changed_environment(
    variables: Mapping[str, str], base: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Set variables of this process during the block, for its requests and its programs.

    `base` takes the place of the variables that the process has.
    """
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update({**(before if base is None else base), **variables})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
