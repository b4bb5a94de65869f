"""Snapshots before and after root's pip: run by the user environment's Python, before pip.

It is installed as /opt/tljh/user/etc/tljh/pip_plugin.py. Standard library only, and nothing newer
than Python 3.8. It never stops pip.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

VERBS = ("install", "uninstall")

# Options with which pip changes another place, or nothing.
ELSEWHERE = re.compile(r"(--target|-t|--prefix|--root|--user|--dry-run|--help|-h)(=|$)")

# Set for the processes that pip starts to build packages. An admin who sets it gets no snapshots.
DISABLING_VARIABLE = "TLJH_RECORDING"


def main(prefix: Path) -> None:
    """Make a snapshot now and another one when this process ends, if pip changes `prefix`."""
    arguments = find_arguments(getattr(sys, "orig_argv", None) or sys.argv)
    if arguments and Path(sys.prefix) == prefix:
        add_logins(prefix.parent / "state" / "packages.env")
    verbs = [word for word in arguments if not word.startswith("-")]
    if not verbs or verbs[0] not in VERBS or any(map(ELSEWHERE.match, arguments)):
        return
    if Path(sys.prefix) != prefix or os.environ.get(DISABLING_VARIABLE):
        return
    os.environ[DISABLING_VARIABLE] = "1"
    os.umask(0o022)
    # pip's warning recommends a virtual environment instead of what the admin asks for.
    os.environ.setdefault("PIP_ROOT_USER_ACTION", "ignore")
    record(prefix)
    lock = take_lock(prefix.parent / "state" / "environment.lock")
    atexit.register(finish, prefix, lock, arguments, os.getpid())


def find_arguments(words: Sequence[str]) -> Sequence[str]:
    """Return the words after `pip`, `pip3`, `…/pip3.12` or `-m pip`; none for other programs."""
    for number, word in enumerate(words[:4]):
        if re.match(r"pip[0-9.]*$", Path(word).name):
            return words[number + 1 :]
    return ()


def add_logins(file: Path) -> None:
    """Set the variables with logins for indexes and the proxy; the caller's own ones win."""
    try:
        text = file.read_text()
    except OSError:
        return
    for name, value in re.findall(r"\|\| export (\w+)=(.*)$", text, re.MULTILINE):
        os.environ.setdefault(name, "".join(shlex.split(value)))


def record(prefix: Path, *command: str) -> str:
    """Make a snapshot if the environment has changed; return what the command prints."""
    program = str(prefix.parent / "hub" / "bin" / "tljh")
    try:
        done = subprocess.run(
            [program, "env", "record", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    except OSError as error:
        print("tljh: no snapshot was made:", error, file=sys.stderr)
        return ""
    return done.stdout.strip()


def take_lock(path: Path) -> int | None:
    """Keep commands of tljh from reading or changing the environment until pip ends."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:
        return None
    return lock


def finish(prefix: Path, lock: int | None, arguments: Sequence[str], process: int) -> None:
    """Make the snapshot after pip, with its command; not in a child of pip."""
    if os.getpid() != process:
        return
    if lock is not None:
        os.close(lock)
    words = " ".join(map(shlex.quote, ["pip", *arguments]))
    line = record(prefix, re.sub(r"://[^/@ ]+@", "://***@", words))
    if line.startswith("saved"):
        print(f"tljh: {line}; the way back: sudo tljh env rollback", file=sys.stderr)


if __name__ == "tljh_record_pip":
    main(Path(__file__).resolve().parents[2])
