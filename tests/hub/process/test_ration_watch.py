"""A user who takes most of what all share is ended while there is a shortage, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from pathlib import Path

import pytest

from tljh.host.fake import FakeHost
from tljh.host.kernel_usage import (
    count_open_files,
    count_open_terminals,
    count_port_range,
    count_sockets,
    count_terminals,
)
from tljh.hub.process.ration_watch import Ration, choose_offenders, end_offenders, watch_rations


@pytest.mark.parametrize(
    ("used", "counts", "ended"),
    [
        (400, {1000: 9000}, []),
        (20_000, {1000: 14_000, 1001: 300}, [1000]),
        (27_000, {1000: 9000, 1001: 9000, 1002: 9000}, [1000, 1001]),
        (20_000, dict.fromkeys(range(1000, 1100), 200), []),
        (20_000, {}, []),
    ],
)
def test_those_with_the_most_go_until_there_is_room(used, counts, ended):
    assert choose_offenders(used, 28_232, counts, 1000) == ended


def test_the_processes_of_the_user_with_the_most_are_ended_and_the_log_says_why(caplog):
    host = FakeHost()
    for name in ("ann", "eve"):
        account = f"jupyter-{name}"
        host.add_user(account, home=Path(f"/home/{account}"), comment=f"JupyterHub user {name}")
    uids = {name: host.user(f"jupyter-{name}").uid for name in ("ann", "eve")}
    counts = {uids["eve"]: 28_000, uids["ann"]: 40}
    ration = Ration("ports", lambda: (28_100, 28_232), lambda _: counts, 1000)
    assert end_offenders(host, ration, logging.getLogger("test")) == ["jupyter-eve"]
    assert "the processes of eve are ended" in caplog.text
    killed = [each for each in host.effects if "pkill" in each]
    assert len(killed) == 1
    assert str(uids["eve"]) in killed[0]


def test_the_kernels_numbers_follow_what_a_process_holds():
    uid = os.getuid()
    files, sockets = count_open_files({uid})[uid], count_sockets()
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            bound = stack.enter_context(socket.socket())
            bound.bind(("127.0.0.1", 0))
        assert count_sockets() >= sockets + 150
        assert count_open_files({uid})[uid] >= files + 150
    assert count_port_range() > 1000
    opened, available = count_terminals()
    assert 0 <= opened <= available
    assert sum(count_open_terminals({uid}).values()) >= 0


def test_a_watch_that_fails_goes_on_and_says_so(caplog, monkeypatch):
    def fail() -> tuple[int, int]:
        raise OSError("no such file")

    monkeypatch.setattr("tljh.hub.process.ration_watch.EVERY_S", 0.01)
    monkeypatch.setattr(
        "tljh.hub.process.ration_watch.RATIONS", (Ration("x", fail, lambda _: {}, 1),)
    )

    async def run() -> None:
        task = asyncio.create_task(watch_rations(FakeHost(), logging.getLogger("test")))
        while "could not be checked" not in caplog.text:
            await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()

    asyncio.run(asyncio.wait_for(run(), 10))
