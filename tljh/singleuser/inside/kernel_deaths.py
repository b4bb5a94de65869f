"""An explanation for a kernel that was killed for lack of memory, in the cell that was running.

Jupyter reports only that 'the kernel appears to have died'. Linux knows more: for the cgroup of
each server it counts the processes that it killed for lack of memory, and how often the server's
own limit was reached.
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


NAME = "ExplainingConnection"


# All pages that show a kernel report its death within this time.
SAME_DEATH_S = 5.0


class MemoryKills:
    """The counters of processes killed for lack of memory in our own cgroup, of version 1 or 2."""

    def __init__(self, root: Path = CGROUPS, membership: str | None = None) -> None:
        text = Path("/proc/self/cgroup").read_text() if membership is None else membership
        places = dict(line.split(":", 2)[1:] for line in text.splitlines())
        self.is_old = "memory" in ",".join(places).split(",")
        key = next((name for name in places if "memory" in name.split(",")), "")
        self.directory = root / ("memory" if self.is_old else "") / places.get(key, "/").lstrip("/")

    def counts(self) -> tuple[int, int]:
        """Return two counts of the server's cgroup: killed processes, and reached own limits.

        Both are since the server's start.
        """
        if not self.is_old:
            events = self._numbers("memory.events")
            return events.get("oom_kill", 0), events.get("max", 0)
        killed = self._numbers("memory.oom_control").get("oom_kill", 0)
        try:
            return killed, int((self.directory / "memory.failcnt").read_text())
        except (OSError, ValueError):
            return killed, 0

    def _numbers(self, name: str) -> dict[str, int]:
        try:
            lines = (self.directory / name).read_text().splitlines()
        except OSError:
            return {}
        pairs = (line.split() for line in lines)
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


class DeathReasons:
    """The reasons for deaths of this server's kernels, as far as memory was one.

    The counters are those of the whole server. So a death is explained by memory if a process was
    killed since the kernel began its work, and no earlier death has been explained by that.
    """

    def __init__(self, kills: MemoryKills, limit: str | None) -> None:
        self.kills, self.limit = kills, limit
        self.last_counts = kills.counts()
        self._counts_at_work: dict[str, tuple[int, int]] = {}
        self._last_reasons: dict[str, tuple[float, str]] = {}

    def note_work(self, kernel: str) -> None:
        """Remember the counts of kills when an idle kernel gets work: it is alive now."""
        self._counts_at_work[kernel] = self.kills.counts()

    def explain_death(self, kernel: str) -> str | None:
        """Return why a kernel died; None if memory was not the cause.

        Each page that shows the kernel gets the same answer.
        """
        time_s, reason = self._last_reasons.get(kernel, (0.0, None))
        if reason is not None and time.monotonic() - time_s < SAME_DEATH_S:
            return reason
        reason = self.reason(self._counts_at_work.get(kernel, self.last_counts))
        if reason is not None:
            self._last_reasons[kernel] = time.monotonic(), reason
        return reason

    def reason(self, counts_at_work: tuple[int, int] = (0, 0)) -> str | None:
        """Return a reason if the kernel killed a process since these counts and the last call."""
        current = self.kills.counts()
        killed, reached = current
        killed_before, reached_before = max(self.last_counts, counts_at_work)
        self.last_counts = current
        if killed <= killed_before:
            return None
        if reached > reached_before and self.limit and self.limit.isdigit():
            size = format_size(int(self.limit))
            what = f"your server used all of the {size} of memory that it may use"
        else:
            what = "all servers on this machine together used up its memory"
        return (
            f"The kernel was ended because {what}. Its variables are lost. Work on less data at "
            "a time, or shut down kernels of other notebooks that you do not need."
        )


def format_size(size_bytes: int) -> str:
    """Return an amount of memory in MB or GB."""
    if size_bytes < 1 << 30:
        return f"{size_bytes >> 20} MB"
    return f"{size_bytes / (1 << 30):.1f} GB"


class RunningCells:
    """The cell on which a kernel works, from the messages between it and one page.

    A cell is identified by the header of its `execute_request`. The kernel reports the begin
    (`execute_input`) from another thread than the one that executes. If a cell takes all memory at
    once, that report never comes. Then the running cell is the first one without an answer.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._waiting: dict[str, dict[str, Any]] = {}
        self._running: dict[str, Any] | None = None
        self._last: dict[str, Any] | None = None

    def to_kernel(self, header: dict[str, Any]) -> bool:
        """Note a page's message to the kernel; return whether it gives work to an idle one."""
        if header["msg_type"] != "execute_request":
            return False
        is_first = not self._waiting
        self._waiting[header["msg_id"]] = header
        return is_first

    def from_kernel(self, header: dict[str, Any], parent: dict[str, Any]) -> None:
        """Note a message from the kernel; `parent` is the header of the request that it answers."""
        if header["msg_type"] == "execute_input":
            self._running = parent
        elif header["msg_type"] == "execute_reply":
            self._waiting.pop(parent["msg_id"], None)
            self._last = parent
            if self._running is not None and self._running["msg_id"] == parent["msg_id"]:
                self._running = None

    def take(self) -> dict[str, Any] | None:
        """Return the cell under which to show why the kernel died; forget all its requests."""
        cell = self._running or next(iter(self._waiting.values()), self._last)
        self.forget()
        return cell


def make_connection_class() -> type:
    """Return a subclass of jupyter_server's kernel websocket that explains a kernel's death."""
    base = import_module("jupyter_server.services.kernels.connection.base")
    channels = import_module("jupyter_server.services.kernels.connection.channels")
    connection: Any = channels.ZMQChannelsWebsocketConnection
    deaths = DeathReasons(MemoryKills(), os.environ.get("MEM_LIMIT"))

    class ExplainingConnection(connection):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._cells = RunningCells()

        def handle_incoming_message(self, incoming_msg: Any) -> None:
            try:
                if self._cells.to_kernel(self._header_of(incoming_msg)):
                    deaths.note_work(self.kernel_id)
            except Exception as error:
                # jupyter_server refuses a bad message. Here it must not end the connection.
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
            self._explain()
            super().on_kernel_restarted()

        def on_restart_failed(self) -> None:
            self._explain()
            super().on_restart_failed()

        def _explain(self) -> None:
            reason, cell = deaths.explain_death(self.kernel_id), self._cells.take()
            if reason is not None and cell is not None:
                self.write_stderr(reason, cell)
            elif reason is not None:
                self.log.warning(reason)

    return ExplainingConnection


def install(argv: list[str]) -> None:
    """Make the server use the explaining websocket, unless its kernels are behind a gateway."""
    if "JUPYTER_GATEWAY_URL" not in os.environ:
        setattr(sys.modules[__name__], NAME, make_connection_class())
        argv.append(f"--ServerApp.kernel_websocket_connection_class={__name__}.{NAME}")
