"""What users take of things that the kernel has only once for all: ports, and pseudo terminals."""

from __future__ import annotations

import contextlib
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

_PROC = Path("/proc")
_TERMINALS = Path("/dev/pts")

# Of a user id, the hub's user whose processes have it, subordinate ids included; None for others.
FindOwner = Callable[[int], int | None]

# One descriptor on its way may be a socket with 253 others in it, and so on.
IN_FLIGHT_WEIGHT = 1000

_SAMPLES = 16


def count_port_range(proc: Path = _PROC) -> int:
    """Return how many ports the kernel can give to a connection that asks for any."""
    first, last = (proc / "sys/net/ipv4/ip_local_port_range").read_text().split()
    return int(last) - int(first) + 1


def count_sockets(proc: Path = _PROC) -> int:
    """Return the number of TCP and UDP sockets that may each hold a port, of all users together.

    A socket that is bound but neither listens nor is connected is in no list of the kernel's, but
    in this number.
    """
    total = 0
    for line in (proc / "net/sockstat").read_text().splitlines():
        words = line.split()
        values = dict(zip(words[1::2], words[2::2], strict=False))
        if words[:1] == ["TCP:"]:
            total += int(values.get("alloc", 0))
        elif words[:1] == ["UDP:"]:
            total += int(values.get("inuse", 0))
    return total


def count_terminals(proc: Path = _PROC) -> tuple[int, int]:
    """Return how many pseudo terminals are open, and how many there can be."""
    directory = proc / "sys/kernel/pty"
    largest, reserved = (int((directory / name).read_text()) for name in ("max", "reserve"))
    return int((directory / "nr").read_text()), largest - reserved


def count_open_files(find_owner: FindOwner, proc: Path = _PROC) -> Counter[int]:
    """Return the number of open files of each user, sockets included; it takes some time.

    A thread may have its own open files (`unshare(CLONE_FILES)`). A socket that was sent to
    another one and not received is in no list of open files, only its number is in the receiver's
    description. It may itself have others in it, so it counts as many.
    """
    counts: Counter[int] = Counter()
    for process in proc.iterdir():
        if not process.name.isdigit():
            continue
        # A process may end meanwhile.
        with contextlib.suppress(OSError, ValueError):
            # The owner of a process's directory is root where the process hides.
            owner = find_owner(_read_uid(process))
            if owner is not None:
                counts[owner] += sum(map(_count_files, _find_file_tables(process)))
    return counts


def _read_uid(process: Path) -> int:
    text = (process / "status").read_text(errors="replace")
    return int(text.partition("\nUid:")[2].split(None, 1)[0])


def _find_file_tables(process: Path) -> list[Path]:
    """Return the threads of a process that have their own tables of open files."""
    main = process / "task" / process.name
    others = (task for task in (process / "task").iterdir() if task != main)
    return [main, *(task for task in others if not _shares_files(task, main))]


def _shares_files(task: Path, main: Path) -> bool:
    """Return whether some files of a thread, by chance, are those of the main thread.

    One may have been closed between the two looks.
    """
    names = os.listdir(task / "fd")  # noqa: PTH208 - names only: fast
    chosen = random.sample(names, min(_SAMPLES, len(names)))
    different = [name for name in chosen if _read_link(task, name) != _read_link(main, name)]
    return len(different) < 2


def _read_link(task: Path, descriptor: str) -> str:
    try:
        return str((task / "fd" / descriptor).readlink())
    except OSError:
        return ""


def _count_files(task: Path) -> int:
    names = os.listdir(task / "fd")  # noqa: PTH208 - names only: fast
    return len(names) + IN_FLIGHT_WEIGHT * sum(_count_in_flight(task, name) for name in names)


def _count_in_flight(task: Path, descriptor: str) -> int:
    """Return how many descriptors wait in a socket to be received."""
    with contextlib.suppress(OSError, ValueError):
        if _read_link(task, descriptor).startswith("socket:"):
            text = (task / "fdinfo" / descriptor).read_text(errors="replace")
            return int((text.partition("scm_fds:")[2].split() or ["0"])[0])
    return 0


def count_open_terminals(find_owner: FindOwner, terminals: Path = _TERMINALS) -> Counter[int]:
    """Return the number of pseudo terminals of each user."""
    counts: Counter[int] = Counter()
    for terminal in terminals.iterdir():
        with contextlib.suppress(OSError):
            owner = find_owner(terminal.stat().st_uid)
            if owner is not None:
                counts[owner] += 1
    return counts
