"""Tells whose kernel was ended for its memory why, in the cell that was running.

Jupyter says that 'the kernel appears to have died'. The kernel of Linux knows more: it counts, for
the unit of each server, what it ended because memory was used up, and whose limit that was.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

CGROUPS = Path("/sys/fs/cgroup")


NAME = "TellingConnection"


# All pages that show a kernel hear of its death within this time.
SAME_DEATH_S = 5.0


class Ended:
    """How often memory ended something in our own cgroup, of either version."""

    def __init__(self, root: Path = CGROUPS, membership: str | None = None) -> None:
        text = Path("/proc/self/cgroup").read_text() if membership is None else membership
        places = dict(line.split(":", 2)[1:] for line in text.splitlines())
        self.is_old = "memory" in ",".join(places).split(",")
        key = next((name for name in places if "memory" in name.split(",")), "")
        self.directory = root / ("memory" if self.is_old else "") / places.get(key, "/").lstrip("/")

    def counts(self) -> tuple[int, int]:
        """Processes ended, and how often our own limit was reached."""
        if not self.is_old:
            events = self._numbers("memory.events")
            return events.get("oom_kill", 0), events.get("max", 0)
        ended = self._numbers("memory.oom_control").get("oom_kill", 0)
        try:
            return ended, int((self.directory / "memory.failcnt").read_text())
        except (OSError, ValueError):
            return ended, 0

    def _numbers(self, name: str) -> dict[str, int]:
        try:
            lines = (self.directory / name).read_text().splitlines()
        except OSError:
            return {}
        pairs = (line.split() for line in lines)
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


class Watch:
    """Says, after a death, whether it was for memory that something of this server was ended."""

    def __init__(self, ended: Ended, limit: str | None) -> None:
        self.ended, self.limit = ended, limit
        self.before = ended.counts()
        self._at_work: dict[str, tuple[int, int]] = {}
        self._told: dict[str, tuple[float, str]] = {}

    def begins(self, kernel: str) -> None:
        """A kernel that was at rest is asked to do something: it lives, whatever ended before."""
        self._at_work[kernel] = self.ended.counts()

    def reason_for(self, kernel: str) -> str | None:
        """The reason for the death of a kernel; each page that shows it may ask."""
        told_s, told = self._told.get(kernel, (0.0, None))
        if told is not None and time.monotonic() - told_s < SAME_DEATH_S:
            return told
        reason = self.reason(self._at_work.get(kernel, self.before))
        if reason is not None:
            self._told[kernel] = time.monotonic(), reason
        return reason

    def reason(self, at_work: tuple[int, int] = (0, 0)) -> str | None:
        """Why, if memory has ended anything since then, and since this was last asked."""
        now = self.ended.counts()
        (ended, reached), (ended_before, reached_before) = now, max(self.before, at_work)
        self.before = now
        if ended <= ended_before:
            return None
        if reached > reached_before and self.limit and self.limit.isdigit():
            what = f"your server used all of the {shown(int(self.limit))} of memory that it may use"
        else:
            what = "all servers on this machine together used up its memory"
        return (
            f"The kernel was ended because {what}. Its variables are lost. Work on less data at "
            "a time, or shut down kernels of other notebooks that you do not need."
        )


def shown(size_bytes: int) -> str:
    """An amount of memory as people say it."""
    if size_bytes < 1 << 30:
        return f"{size_bytes >> 20} MB"
    return f"{size_bytes / (1 << 30):.1f} GB"


class Cells:
    """Which cell a kernel works on, by the messages that pass between it and one page.

    A cell is known by the header of the request that asks to execute it. The kernel's word that it
    has begun (`execute_input`) leaves by another thread than the one that executes, and never
    comes if the cell takes all memory at once: then it was the first that waits for an answer.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._asked: dict[str, dict[str, Any]] = {}
        self._begun: dict[str, Any] | None = None
        self._done: dict[str, Any] | None = None

    def to_kernel(self, header: dict[str, Any]) -> bool:
        """Note what a kernel is asked; true for a cell while no other waits for its answer."""
        if header["msg_type"] != "execute_request":
            return False
        is_first = not self._asked
        self._asked[header["msg_id"]] = header
        return is_first

    def from_kernel(self, header: dict[str, Any], parent: dict[str, Any]) -> None:
        if header["msg_type"] == "execute_input":
            self._begun = parent
        elif header["msg_type"] == "execute_reply":
            self._asked.pop(parent["msg_id"], None)
            self._done = parent
            if self._begun is not None and self._begun["msg_id"] == parent["msg_id"]:
                self._begun = None

    def take(self) -> dict[str, Any] | None:
        """The cell to show a word in, once: what was asked of a kernel that died is over."""
        found = self._begun or next(iter(self._asked.values()), self._done)
        self.forget()
        return found


def connection_class() -> type:
    """jupyter_server's connection of a page to a kernel, with a word more at the end."""
    base = import_module("jupyter_server.services.kernels.connection.base")
    channels = import_module("jupyter_server.services.kernels.connection.channels")
    connection: Any = channels.ZMQChannelsWebsocketConnection
    watch = Watch(Ended(), os.environ.get("MEM_LIMIT"))

    class TellingConnection(connection):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._cells = Cells()

        def handle_incoming_message(self, incoming_msg: Any) -> None:
            try:
                if self._cells.to_kernel(self._header_of(incoming_msg)):
                    watch.begins(self.kernel_id)
            except Exception as error:  # a message that we cannot read is for others to refuse
                self.log.debug("not noted: %s", error)
            super().handle_incoming_message(incoming_msg)

        def _header_of(self, message: Any) -> Any:
            if self.subprotocol == "v1.kernel.websocket.jupyter.org":
                return self.session.unpack(base.deserialize_msg_from_ws_v1(message)[1][0])
            if isinstance(message, bytes):
                return base.deserialize_binary_message(message)["header"]
            return json.loads(message)["header"]

        def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
            try:
                _, parts = self.session.feed_identities(outgoing_msg)
                header, parent = map(self.session.unpack, parts[1:3])
                self._cells.from_kernel(header, parent)
            except Exception as error:
                self.log.debug("not noted: %s", error)
            super().handle_outgoing_message(stream, outgoing_msg)

        def on_kernel_restarted(self) -> None:
            self._tell()
            super().on_kernel_restarted()

        def on_restart_failed(self) -> None:
            self._tell()
            super().on_restart_failed()

        def _tell(self) -> None:
            reason, cell = watch.reason_for(self.kernel_id), self._cells.take()
            if reason is not None and cell is not None:
                self.write_stderr(reason, cell)
            elif reason is not None:
                self.log.warning(reason)

    return TellingConnection


def install(argv: list[str]) -> None:
    """Have the server use it; kernels behind a gateway are not on this machine."""
    if "JUPYTER_GATEWAY_URL" not in os.environ:
        setattr(sys.modules[__name__], NAME, connection_class())
        argv.append(f"--ServerApp.kernel_websocket_connection_class={__name__}.{NAME}")
