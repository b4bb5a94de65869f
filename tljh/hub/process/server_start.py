"""Waiting for a server that starts: until it answers, or has ended, which shows at once."""

from __future__ import annotations

import asyncio
import html
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from jupyterhub.spawner import SpawnException
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from tljh.host import transient_units as transient
from tljh.host.transient_units import TransientUnit, UnitState

POLL_S = 0.2


# How often a unit is looked at that could not be watched.
LOOK_EVERY_S = 1.0


SHOWN_LINES = 12


RETRY_AFTER_S = 3


# What systemd says in place of an exit status when it could not even begin
# (systemd.exec(5), "Process exit codes").
_NOT_BEGUN = {
    200: "its home directory cannot be entered",
    203: "the command that starts it is not there, or is not executable",
    209: "its output has nowhere to go",
    214: "the settings of its scheduling were refused",
    216: "its group does not exist",
    217: "its account does not exist",
    219: "the limits that were set for it were refused",
    226: "its private directories could not be set up",
    228: "the filter of system calls was refused",
    233: "its directory below /run could not be made",
}


_FULL = ("No space left on device", "Disk quota exceeded")


class ServerFailed(SpawnException):
    """A server that did not come up: a sentence for its user, the last lines for the log."""

    def __init__(self, sentence: str, lines: str = "", state: UnitState | None = None) -> None:
        shown = f"{sentence}\n{lines}" if lines else sentence
        super().__init__(sentence, reason="failed", log_message=_plain(shown), status_code=500)
        self.lines, self.state = lines, state
        # JupyterHub would show its user what is meant for the log.
        self.jupyterhub_message = sentence
        if lines:
            self.jupyterhub_html_message = (
                f"{html.escape(sentence)}<details><summary>its log</summary>"
                f'<pre class="text-start">{html.escape(lines)}</pre></details>'
            )


def put_off(again_url: str) -> ServerFailed:
    """For somebody in the queue of a hub that restarts: the page asks again by itself."""
    failed = ServerFailed("The hub restarts. Your server is asked for again in a moment.")
    url = html.escape(again_url.rstrip("/"), quote=True)
    failed.jupyterhub_html_message = (
        f"{html.escape(failed.message)}"
        f'<meta http-equiv="refresh" content="{RETRY_AFTER_S};url={url}">'
    )
    return failed


def _plain(text: str) -> str:
    # tornado formats a log message with %.
    return text.replace("%", "%%")


@dataclass(frozen=True)
class Start:
    """A unit that shall come up and answer at `url`."""

    unit: TransientUnit
    url: str
    timeout_s: float

    async def run(self) -> None:
        """Start it and wait until it answers. Raises ServerFailed once it is clear that it won't.

        Its name has to be free (`transient.clear`). The unit is left as it is when it fails, so
        that it can be looked at; the caller stops it.
        """
        began_s = time.time()
        done = await transient.start(self.unit)
        if not done.ok:
            lines = done.err.strip()
            why = _NOT_BEGUN[203] if "Failed to find executable" in lines else "systemd refuses it"
            raise ServerFailed(f"Your server cannot start: {why}.", lines)
        ended = asyncio.Event()
        now = await transient.state(self.unit.name)
        with transient.watch_process_end(now.main_pid, ended.set) as is_watched:
            try:
                await self._until_it_answers(ended, None if is_watched else LOOK_EVERY_S)
            except ServerFailed as failed:
                lines = await transient.last_lines(self.unit.name, SHOWN_LINES, began_s)
                raise self._told(failed, lines) from None

    def _told(self, failed: ServerFailed, lines: str) -> ServerFailed:
        """The failure with the unit's last lines, which may say more than systemd does."""
        if failed.state is None:
            return ServerFailed(failed.message, lines)
        return ServerFailed(sentence_of(failed.state, lines), lines)

    async def _until_it_answers(self, ended: asyncio.Event, look_every_s: float | None) -> None:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self.timeout_s
        next_look_s = loop.time()
        while not await _answers(self.url):
            if look_every_s is not None and loop.time() >= next_look_s:
                next_look_s = loop.time() + look_every_s
                if not (await transient.state(self.unit.name)).runs:
                    ended.set()
            try:
                await asyncio.wait_for(ended.wait(), POLL_S)
            except asyncio.TimeoutError:
                if loop.time() < end_s:
                    continue
                sentence = f"Your server did not answer within {self.timeout_s:g} seconds."
                raise ServerFailed(sentence) from None
            await self._has_ended()

    async def _has_ended(self) -> None:
        # systemd takes a moment to notice what the kernel has told us.
        now = await transient.state(self.unit.name)
        while now.runs or now.active == "deactivating":
            await asyncio.sleep(0.05)
            now = await transient.state(self.unit.name)
        raise ServerFailed(sentence_of(now, ""), state=now)


async def _answers(url: str) -> bool:
    """Whether anything speaks HTTP there; what it says is not looked at."""
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
    """Whether anything listens there: the hub's own certificates are for the hub to use."""
    where = urlsplit(url)
    try:
        _, writer = await asyncio.open_connection(where.hostname, where.port)
    except OSError:
        return False
    writer.close()
    return True


def sentence_of(state: UnitState, lines: str) -> str:
    """Why a server ended, for the person whose server it was."""
    if any(sign in lines for sign in _FULL):
        return "Your server cannot start: there is no disk space left. Delete some files first."
    if state.result == "oom-kill":
        return "Your server cannot start: the memory that it may use is not enough to start."
    if not state.is_signal and state.exit_status in _NOT_BEGUN:
        return f"Your server cannot start: {_NOT_BEGUN[state.exit_status]}."
    if state.is_signal:
        return f"Your server was ended by signal {state.exit_status} while it was starting."
    return (
        f"Your server ended while it was starting, with exit status {state.exit_status}. "
        "An administrator can see why in its log."
    )
