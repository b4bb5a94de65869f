"""Transient units: the command line of systemd-run, states, and the end of a process."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import pytest

from tljh.host.transient_units import (
    TransientUnit,
    UnitState,
    parse_state,
    read_last_lines,
    run,
    start,
    watch_process_end,
)


def test_a_property_with_several_values_is_set_once_for_each():
    unit = TransientUnit(
        "jupyter-a.service",
        ["/bin/server", "--port=1"],
        {"MemoryMax": "1", "ReadOnlyPaths": ["/a", "/b"]},
        "/home/a",
        slice="jupyter.slice",
        uid=1001,
    )
    assert unit.command() == [
        *("systemd-run", "--quiet", "--unit", "jupyter-a.service"),
        *("--working-directory", "/home/a", "--uid=1001", "--slice=jupyter.slice"),
        *("--property=MemoryMax=1", "--property=ReadOnlyPaths=/a", "--property=ReadOnlyPaths=/b"),
        *("--", "/bin/server", "--port=1"),
    ]


def test_states_are_read_as_systemd_shows_them():
    failed = "MainPID=0\nResult=exit-code\nExecMainCode=1\nExecMainStatus=203\nActiveState=failed\n"
    assert parse_state(failed) == UnitState("failed", "exit-code", 203)
    killed = "Result=signal\nExecMainCode=2\nExecMainStatus=9\nActiveState=failed\n"
    assert parse_state(killed).is_signal
    assert parse_state("ActiveState=active\nMainPID=7\n").runs
    assert not parse_state("").runs


def test_a_command_returns_its_code_and_output():
    result = asyncio.run(run([sys.executable, "-c", "print('out'); raise SystemExit('bad')"]))
    assert (result.code, result.out, result.err) == (1, "out\n", "bad\n")


def test_a_cancelled_start_ends_only_after_systemd_has_started_the_unit(tmp_path, monkeypatch):
    begun, up = tmp_path / "begun", tmp_path / "up"
    script = f"#!/bin/sh\ntouch {begun}; sleep 0.3; touch {up}\n"
    (tmp_path / "systemd-run").write_text(script)
    (tmp_path / "systemd-run").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    async def cancel() -> bool:
        starting = asyncio.ensure_future(start(TransientUnit("a.service", ["true"], {}, "/")))
        deadline_s = time.monotonic() + 30
        while not begun.exists():
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.01)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        # A stop that follows now finds the unit.
        return up.exists()

    assert asyncio.run(cancel())


def test_the_end_of_a_process_is_noticed_without_polling():
    async def watched() -> bool:
        process = await asyncio.create_subprocess_exec("sleep", "60")
        ended = asyncio.Event()
        with watch_process_end(process.pid, ended.set) as is_watched:
            assert is_watched
            process.kill()
            await asyncio.wait_for(ended.wait(), 10)
        await process.wait()
        return True

    assert asyncio.run(watched())


def test_a_process_that_ended_before_is_noticed_at_once():
    async def watched() -> bool:
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        ended = asyncio.Event()
        with watch_process_end(process.pid, ended.set):
            pass
        return ended.is_set()

    assert asyncio.run(watched())


JOURNALCTL = """#!/bin/sh
# As journalctl before systemd 254: with --since, -n takes the first lines in the order asked for.
case "$*" in
    *--sync*) exit 0 ;;
    *--reverse*) seq 30 | tac | head -n 3 ;;
    *) seq 30 | head -n 3 ;;
esac
"""


def test_the_reason_of_a_failed_start_is_the_end_of_the_log(tmp_path, monkeypatch):
    program = tmp_path / "journalctl"
    program.write_text(JOURNALCTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    lines = asyncio.run(read_last_lines("jupyter-ann.service", 3, 0))
    assert lines == "28\n29\n30"
