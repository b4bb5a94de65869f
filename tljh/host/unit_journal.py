"""Lines about a unit in systemd's journal, for a unit that could not write any itself."""

from __future__ import annotations

import contextlib
import socket

JOURNAL_SOCKET = "/run/systemd/journal/socket"

ERROR = 3


def write_unit_lines(unit: str, text: str, priority: int = ERROR) -> None:
    """Write each line of `text` to the journal, where `journalctl -u UNIT` shows it.

    journalctl believes root only. Nothing is raised: a lost line must not fail anything.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        for line in text.splitlines():
            fields = (
                f"MESSAGE={line}",
                f"PRIORITY={priority}",
                "SYSLOG_IDENTIFIER=jupyterhub",
                f"OBJECT_SYSTEMD_UNIT={unit}",
            )
            journal.sendto("".join(f"{field}\n" for field in fields).encode(), JOURNAL_SOCKET)
