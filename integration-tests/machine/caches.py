"""Package caches that machines share, so that not every test downloads the same files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INSIDE = "/var/cache/tljh-test"


def directory() -> Path:
    """Return the directory of the caches: TLJH_TEST_CACHE, else in the user's cache."""
    configured = os.environ.get("TLJH_TEST_CACHE")
    if configured:
        return Path(configured).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tljh-test"


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name`, so that one process at a time makes an image or installs packages."""
    directory().mkdir(parents=True, exist_ok=True)
    with (directory() / f".{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def mounts() -> list[str]:
    """Make the caches and return the options of `run` that mount them.

    apt's archives have their version in the name, so one directory serves all releases. But
    apt locks the directory and does not wait. So each parallel test process has its own.
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
    """Return the variables by which pip, uv and rattler find the caches in a machine."""
    return {
        "PIP_CACHE_DIR": f"{INSIDE}/pip",
        "UV_CACHE_DIR": f"{INSIDE}/uv",
        "RATTLER_CACHE_DIR": f"{INSIDE}/rattler",
    }
