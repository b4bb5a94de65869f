"""The start of one server: wait until it answers, or report at once why it ended."""

from __future__ import annotations

import asyncio
import html
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from jupyterhub.spawner import SpawnException
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from tljh.host import transient_units as transient
from tljh.host.full_disk import describe_full_disk, find_full_line, is_over_quota
from tljh.host.real import RealReader
from tljh.host.transient_units import TransientUnit, UnitState

POLL_S = 0.2


# The interval of asking systemd for the unit's state where its main process cannot be watched.
LOOK_EVERY_S = 1.0


SHOWN_LINES = 12


RETRY_AFTER_S = 3


# systemd's own exit codes, for a process that it could not execute (systemd.exec(5), "Process
# exit codes").
_NOT_EXECUTED = {
    200: "its home directory cannot be entered",
    203: "the command that starts it is not there, or is not executable",
    209: "its output cannot be opened",
    214: "the settings of its scheduling were refused",
    216: "its group does not exist",
    217: "its account does not exist",
    219: "its limits were refused",
    226: "its private directories could not be set up",
    228: "the filter of system calls was refused",
    233: "its directory below /run could not be created",
}


class ServerFailed(SpawnException):
    """A failed start: `sentence` is for the user, `lines` are the last ones of the unit's log."""

    def __init__(
        self,
        sentence: str,
        lines: str = "",
        state: UnitState | None = None,
        *,
        has_run: bool = False,
    ) -> None:
        text = f"{sentence}\n{lines}" if lines else sentence
        super().__init__(sentence, reason="failed", log_message=_escape(text), status_code=500)
        self.lines, self.state, self.has_run = lines, state, has_run
        # Without this, JupyterHub would show the log message to the user.
        self.jupyterhub_message = sentence
        if lines:
            self.jupyterhub_html_message = (
                f"{html.escape(sentence)}<details><summary>its log</summary>"
                f'<pre class="text-start">{html.escape(lines)}</pre></details>'
            )


def retry_after_restart(spawn_url: str) -> ServerFailed:
    """Return the error for a start that waits in the queue of a hub which restarts.

    The page that shows it loads `spawn_url` after some seconds, by which time the next hub runs.
    """
    failed = ServerFailed("The hub restarts. Your server will start in a moment.")
    url = html.escape(spawn_url.rstrip("/"), quote=True)
    failed.jupyterhub_html_message = (
        f"{html.escape(failed.message)}"
        f'<meta http-equiv="refresh" content="{RETRY_AFTER_S};url={url}">'
    )
    return failed


def _escape(text: str) -> str:
    # tornado uses a log message as a format string for %.
    return text.replace("%", "%%")


@dataclass(frozen=True)
class ServerStart:
    """The start of a unit that has to answer at `url` within `timeout_s` seconds."""

    unit: TransientUnit
    url: str
    timeout_s: float

    async def run(self) -> None:
        """Start the unit and wait until it answers.

        Raises ServerFailed as soon as the unit ends, or at the timeout. The name of the unit has
        to be free (`transient.clear`). A failed unit is not stopped here: its state is still
        needed, so the caller stops it.
        """
        start_s = time.time()
        result = await transient.start(self.unit)
        if not result.ok:
            lines = result.err.strip()
            is_missing = "Failed to find executable" in lines
            reason = _NOT_EXECUTED[203] if is_missing else "systemd refuses it"
            raise ServerFailed(f"Your server cannot start: {reason}.", lines)
        ended = asyncio.Event()
        state = await transient.read_state(self.unit.name)
        with transient.watch_process_end(state.main_pid, ended.set) as is_watched:
            try:
                await self._wait_for_answer(ended, None if is_watched else LOOK_EVERY_S)
            except ServerFailed as failure:
                lines = await transient.read_last_lines(self.unit.name, SHOWN_LINES, start_s)
                raise self._with_log(failure, lines) from None

    def _with_log(self, failure: ServerFailed, lines: str) -> ServerFailed:
        # The unit's last lines may explain the end better than its state: a full disk, for example.
        home = self.unit.working_directory
        full = describe_full(lines, home)
        if failure.state is None:
            return ServerFailed(full or failure.message, lines, has_run=True)
        return ServerFailed(full or describe_end(failure.state), lines, has_run=True)

    async def _wait_for_answer(self, ended: asyncio.Event, look_every_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self.timeout_s
        next_look_s = loop.time()
        while not await _answers(self.url):
            if look_every_s is not None and loop.time() >= next_look_s:
                next_look_s = loop.time() + look_every_s
                if not (await transient.read_state(self.unit.name)).runs:
                    ended.set()
            try:
                await asyncio.wait_for(ended.wait(), POLL_S)
            except asyncio.TimeoutError:
                if loop.time() < end_s:
                    continue
                sentence = f"Your server did not answer within {self.timeout_s:g} seconds."
                raise ServerFailed(sentence) from None
            await self._raise_end()

    async def _raise_end(self) -> None:
        """Raise ServerFailed with the unit's final state."""
        # The kernel reported the end of the process. systemd notices it a moment later, and only
        # then has the exit status.
        state = await transient.read_state(self.unit.name)
        while state.runs or state.active == "deactivating":
            await asyncio.sleep(0.05)
            state = await transient.read_state(self.unit.name)
        raise ServerFailed(describe_end(state), state=state)


async def _answers(url: str) -> bool:
    """Return whether the server answers with any status below 500."""
    if url.startswith("https:"):
        return await _listens(url)
    try:
        await AsyncHTTPClient().fetch(url, follow_redirects=False, request_timeout=10)
    except HTTPClientError as error:
        return error.code < 500
    except OSError:
        return False
    return True


async def _listens(url: str) -> bool:
    """Return whether a process listens at the URL's port.

    With JupyterHub's internal_ssl, a request would need the hub's client certificate.
    """
    address = urlsplit(url)
    try:
        _, writer = await asyncio.open_connection(address.hostname, address.port)
    except OSError:
        return False
    writer.close()
    return True


def describe_end(state: UnitState) -> str:
    """Return a sentence for the user that says why the server ended.

    Without a known cause it names the exit status.
    """
    if state.result == "oom-kill":
        return "Your server cannot start: its memory limit is too low to start."
    if not state.is_signal and state.exit_status in _NOT_EXECUTED:
        return f"Your server cannot start: {_NOT_EXECUTED[state.exit_status]}."
    if state.is_signal:
        return f"Your server was ended by signal {state.exit_status} while it was starting."
    return (
        f"Your server ended while it was starting, with exit status {state.exit_status}. "
        "An admin can find the cause in its log."
    )


def describe_full(lines: str, home: str) -> str | None:
    """Return a sentence for the user if the last lines of a log say that a disk is full.

    It names the disk, and who can help; `home` is the directory of the user.
    """
    line = find_full_line(lines)
    if line is not None:
        full = describe_full_disk(RealReader(), line, (home, "/tmp", "/run")).what
        return (
            f"Your server cannot start: there is {full}. Delete some files first; "
            "an admin can see what takes it: tljh disk."
        )
    if not is_over_quota(lines):
        return None
    return (
        "Your server cannot start: there is no disk space left of what you may have. "
        "Delete some files first."
    )
