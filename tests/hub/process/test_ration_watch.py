"""A user who takes most of what all share is ended while there is a shortage, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
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
    files, sockets = count_open_files(lambda _: uid)[uid], count_sockets()
    with contextlib.ExitStack() as stack:
        # Many more than are asked for: other processes of the machine close some meanwhile.
        for _ in range(500):
            bound = stack.enter_context(socket.socket())
            bound.bind(("127.0.0.1", 0))
        assert count_sockets() >= sockets + 150
        assert count_open_files(lambda _: uid)[uid] >= files + 150
    assert count_port_range() > 1000
    opened, available = count_terminals()
    assert 0 <= opened <= available
    assert sum(count_open_terminals({uid: uid}.get).values()) >= 0


def test_sockets_that_were_sent_and_not_received_count_as_many():
    owner = {os.getuid(): 1}.get
    before = count_open_files(owner)[1]
    left, right = socket.socketpair()
    with left, right, socket.socket() as hidden:
        socket.send_fds(left, [b"x"], [hidden.fileno()])
        hidden.close()
        assert count_open_files(owner)[1] >= before + 900


def test_files_of_a_thread_of_its_own_count():
    program = """
import ctypes, os, socket, threading, time
def hide():
    assert ctypes.CDLL(None).unshare(0x400) == 0
    held = [socket.socket() for _ in range(700)]
    print("ready", flush=True)
    time.sleep(60)
threading.Thread(target=hide, daemon=True).start()
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        counted = count_open_files({os.getuid(): 1}.get)[1]
        process.kill()
    assert counted >= count_open_files({os.getuid(): 1}.get)[1] + 690


def test_processes_of_subordinate_ids_are_their_users(tmp_path):
    host = FakeHost()
    host.add_user("jupyter-eve", home=Path("/home/eve"), comment="JupyterHub user eve")
    eve = host.user("jupyter-eve").uid
    host.write(Path("/etc/subuid"), b"jupyter-eve:100000:65536\n", mode=0o644)
    asked = []

    def count(find_owner):
        asked.extend(map(find_owner, (eve, 100_005, 165_536, 0)))
        return {}

    end_offenders(host, Ration("x", lambda: (9, 10), count, 1), logging.getLogger("test"))
    assert asked == [eve, eve, None, None]


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
