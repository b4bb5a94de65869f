"""Package caches that machines share, so that a test needn't download the world."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INSIDE = "/var/cache/tljh-test"


def directory() -> Path:
    """Where caches live on this computer: TLJH_TEST_CACHE, else the user's cache."""
    named = os.environ.get("TLJH_TEST_CACHE")
    if named:
        return Path(named).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tljh-test"


@contextmanager
def making(what: str) -> Iterator[None]:
    """One process at a time makes `what`; who waited finds what the first one made."""
    directory().mkdir(parents=True, exist_ok=True)
    with (directory() / f".{what}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def mounts() -> list[str]:
    """Options of `run` that mount the caches, made where missing.

    apt keeps its archives in the machine's usual place; names carry the version, so
    one directory serves all releases. It locks them and doesn't wait for others: of the
    processes that run tests side by side, each has its own.
    """
    root = directory()
    archives = root / f"apt{os.environ.get('PYTEST_XDIST_WORKER', '')}"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    (root / "packages").mkdir(parents=True, exist_ok=True)
    return [
        f"--volume={root / 'packages'}:{INSIDE}",
        f"--volume={archives}:/var/cache/apt/archives",
    ]


def environment() -> dict[str, str]:
    """The variables by which pip, uv and rattler find the caches in a machine."""
    return {
        "PIP_CACHE_DIR": f"{INSIDE}/pip",
        "UV_CACHE_DIR": f"{INSIDE}/uv",
        "RATTLER_CACHE_DIR": f"{INSIDE}/rattler",
    }
