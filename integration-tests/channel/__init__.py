"""A real conda channel, built from PyPI's wheels and the distribution's Python.

Tests use it, and `make try` where conda-forge cannot be reached: it has the same package names,
a real CPython and real dependencies. Standard library only; the builder runs in its own virtual
environment (`builder.lock`), which the first build makes.

    python3 integration-tests/channel build           # prints the channel's directory
    python3 integration-tests/channel build --tiny    # a few packages in several versions
    python3 integration-tests/channel serve --port 0  # the same over loopback HTTP
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from channel import roots

KINDS = ("full", "tiny", "tiny-more")
HERE = Path(__file__).resolve().parent
STAMP = ".built"


def cache_dir() -> Path:
    """Return the directory that keeps channels and the builder's environment between runs."""
    base = os.environ.get("TLJH_TEST_CACHE")
    return Path(base) if base else Path.home() / ".cache" / "tljh-test"


def build(
    kind: str = "full",
    *,
    root: Path | str = "/",
    image: str | None = None,
    out: Path | str | None = None,
) -> Path:
    """Return the channel's directory; build it where it is missing or its inputs have changed.

    Its Python is that of `root` or of a container image. It needs that distribution's
    libraries, so a machine's channel is built from the machine's image.
    """
    if kind not in KINDS:
        raise ValueError(f"no channel is called {kind!r}; there are {', '.join(KINDS)}")
    cache = cache_dir() / "channel"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / ".lock"):
        python_root = roots.of_image(image, cache) if image else Path(root)
        digest = _digest(kind, python_root)
        target = Path(out).resolve() if out else cache / f"{kind}-{digest}"
        stamp = target / STAMP
        if stamp.is_file() and stamp.read_text() == digest:
            return target
        if target.is_dir() and any(target.iterdir()) and not stamp.exists():
            raise FileExistsError(f"{target} contains something else; give an empty directory")
        work = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
        try:
            _run_builder(kind, python_root, work)
            (work / STAMP).write_text(digest)
            work.chmod(0o755)
            shutil.rmtree(target, ignore_errors=True)
            work.rename(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return target


def _digest(kind: str, root: Path) -> str:
    """Return a digest of this package's files, the kind, the processor and the Python."""
    digest = hashlib.sha256()
    for file in sorted(HERE.iterdir()):
        if file.suffix in {".py", ".lock"}:
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    python = roots.debian_python(root)
    digest.update(f"{kind} {platform.machine()} {python.package_version}".encode())
    return digest.hexdigest()[:16]


def _run_builder(kind: str, root: Path, out: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "PYTHONSAFEPATH": "1"}
    command = [str(_builder_python()), "-m", "channel.builder", kind, str(root), str(out)]
    subprocess.run(command, check=True, env=environment, stdin=subprocess.DEVNULL)


def _builder_python() -> Path:
    """Return the interpreter of the builder's environment; make that on first use."""
    lock = HERE / "builder.lock"
    version = ".".join(map(str, sys.version_info[:2]))
    digest = hashlib.sha256(lock.read_bytes() + version.encode()).hexdigest()[:16]
    home = cache_dir() / f"channel-builder-{digest}"
    python = home / "bin" / "python"
    if (home / STAMP).exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    uv = shutil.which("uv")
    if uv:
        create = [uv, "venv", "-q", "--python", sys.executable, str(home)]
        install = [uv, "pip", "install", "-q", "--python", str(python), "-r", str(lock)]
    else:
        create = [sys.executable, "-m", "venv", str(home)]
        install = [str(python), "-m", "pip", "install", "-q", "-r", str(lock)]
    for command in (create, install):
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    (home / STAMP).touch()
    return python


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Allow one build at a time: a second caller waits and then finds the first one's result."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
