"""A failed start of a server: the sentence that its user reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from jupyterhub.utils import format_exception

from tljh.host.transient_units import TransientUnit, UnitState
from tljh.hub.process.server_start import (
    ServerFailed,
    ServerStart,
    describe_end,
    describe_full,
    retry_after_restart,
)


@pytest.mark.parametrize(
    ("state", "part"),
    [
        (UnitState("failed", "oom-kill", 9, True), "memory"),
        (UnitState("failed", "exit-code", 200), "home directory cannot be entered"),
        (UnitState("failed", "exit-code", 203), "command that starts it is not there"),
        (UnitState("failed", "signal", 11, True), "signal 11"),
        (UnitState("failed", "exit-code", 3), "exit status 3"),
        (UnitState("inactive", "success", 0), "exit status 0"),
    ],
)
def test_how_a_server_ended_becomes_a_sentence(state, part):
    assert part in describe_end(state)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device: '/x/y'", "no disk space left for /x."),
        ("sqlite3.OperationalError: database or disk is full", "no disk space left. Delete"),
        ("sqlalchemy.exc.OperationalError: database or disk is full", "tljh disk"),
        ("OSError: [Errno 122] Disk quota exceeded", "no disk space left of what you may have"),
        ("Traceback", None),
    ],
)
def test_a_full_disk_in_the_log_is_the_reason(lines, sentence):
    text = describe_full(f"first\n{lines}\nlast", "/home")
    assert (text is None) if sentence is None else (text and sentence in text)


def test_the_log_gets_the_last_lines_with_percent_signs_escaped():
    failure = ServerFailed("It ended.", "100%s\nlast")
    assert "last" in str(failure)
    assert failure.get_message() % () == "It ended.\n100%s\nlast"


def test_its_user_reads_the_sentence_and_can_open_the_lines():
    message, page = format_exception(ServerFailed("It ended.", "<b>last</b>"))
    assert message == "It ended."
    assert page.startswith("It ended.<details>")
    assert "&lt;b&gt;last&lt;/b&gt;" in page
    assert format_exception(ServerFailed("It ended."), only_jupyterhub=True) == ("It ended.", None)


def test_the_page_of_a_start_in_the_queue_retries_after_a_restart():
    message, page = format_exception(retry_after_restart("/hub/spawn/a%22b/"))
    assert "will start in a moment" in message
    assert 'content="3;url=/hub/spawn/a%22b">' in page


@contextlib.asynccontextmanager
async def listening(answer: bytes) -> AsyncIterator[int]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def start_of(port: int, timeout_s: float = 30) -> ServerStart:
    unit = TransientUnit("never-started.service", ["true"], {}, "/")
    return ServerStart(unit, f"http://127.0.0.1:{port}/user/a/api", timeout_s)


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden", "302 Found\r\nLocation: /x"])
def test_a_server_that_answers_anything_is_up(status):
    async def test() -> None:
        answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
        async with listening(answer) as port:
            await start_of(port)._wait_for_answer(asyncio.Event(), None)

    asyncio.run(asyncio.wait_for(test(), 20))


def test_a_server_that_is_not_ready_is_waited_for_until_its_timeout():
    async def test() -> None:
        unready = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
        async with listening(unready) as port:
            with pytest.raises(ServerFailed, match=r"did not answer within 0\.5 seconds"):
                await start_of(port, 0.5)._wait_for_answer(asyncio.Event(), None)

    asyncio.run(asyncio.wait_for(test(), 20))
