"""What users take of things that the kernel has only once for all: ports, and pseudo terminals."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

_PROC = Path("/proc")
_TERMINALS = Path("/dev/pts")


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


def count_open_files(uids: Collection[int], proc: Path = _PROC) -> Counter[int]:
    """Return the number of open files of each user, sockets included; it takes some time.

    The owner of a process's directory is root where the process hides, so its status is read.
    """
    counts: Counter[int] = Counter()
    for process in proc.iterdir():
        if not process.name.isdigit():
            continue
        # A process may end meanwhile.
        with contextlib.suppress(OSError, ValueError):
            uid = _read_uid(process)
            if uid in uids:
                counts[uid] += len(os.listdir(process / "fd"))  # noqa: PTH208 - names only: fast
    return counts


def _read_uid(process: Path) -> int:
    text = (process / "status").read_text(errors="replace")
    return int(text.partition("\nUid:")[2].split(None, 1)[0])


def count_open_terminals(uids: Collection[int], terminals: Path = _TERMINALS) -> Counter[int]:
    """Return the number of pseudo terminals of each user."""
    counts: Counter[int] = Counter()
    for terminal in terminals.iterdir():
        with contextlib.suppress(OSError):
            uid = terminal.stat().st_uid
            if uid in uids:
                counts[uid] += 1
    return counts
