"""Transient units: what systemd is told, and how the end of one is noticed."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tljh.host.transient_units import (
    TransientUnit,
    UnitState,
    parse_state,
    run,
    start,
    watch_process_end,
)


def test_a_property_with_several_values_is_given_several_times():
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


def test_a_command_runs_beside_the_event_loop_and_its_words_come_back():
    done = asyncio.run(run([sys.executable, "-c", "print('out'); raise SystemExit('bad')"]))
    assert (done.code, done.out, done.err) == (1, "out\n", "bad\n")


def test_a_start_that_is_called_off_has_done_what_it_began_before_it_ends(tmp_path, monkeypatch):
    up = tmp_path / "up"
    (tmp_path / "systemd-run").write_text(f"#!/bin/sh\nsleep 0.5; touch {up}\n")
    (tmp_path / "systemd-run").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    async def called_off() -> bool:
        begun = asyncio.ensure_future(start(TransientUnit("a.service", ["true"], {}, "/")))
        await asyncio.sleep(0.1)
        begun.cancel()
        with pytest.raises(asyncio.CancelledError):
            await begun
        # Whoever stops the unit now finds it.
        return up.exists()

    assert asyncio.run(called_off())


def test_the_end_of_a_process_is_noticed_without_looking():
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


def test_a_process_that_is_gone_already_has_ended():
    async def watched() -> bool:
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
        ended = asyncio.Event()
        with watch_process_end(process.pid, ended.set):
            pass
        return ended.is_set()

    assert asyncio.run(watched())
