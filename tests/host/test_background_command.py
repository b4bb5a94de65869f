"""Commands in the background: their output, their deadline and their end."""

from __future__ import annotations

import sys

import pytest

from tljh.base.errors import TljhError
from tljh.host.background_command import RunningCommand

# Prints more than fits into a pipe.
TALKATIVE = "import sys; [print('x' * 99) for _ in range(2000)]; sys.exit(3)"


def python(code: str, timeout_s: float = 60) -> RunningCommand:
    return RunningCommand([sys.executable, "-c", code], timeout_s, None, "a question\n")


def test_lines_from_before_the_wait_are_reported_in_order():
    running = python("print('one', flush=True); print(input())")
    lines: list[str] = []
    result = running.wait(lines.append)
    assert lines == ["one", "a question"]
    assert (result.code, result.out) == (0, "one\na question\n")


def test_a_command_that_prints_more_than_fits_into_a_pipe_ends_before_the_wait():
    running = python(TALKATIVE)
    running._process.wait(60)
    assert running.wait().code == 3


def test_a_command_is_stopped_unless_it_was_waited_for():
    endless = python("while True: pass")
    assert endless.stop()
    assert endless._process.returncode == -9
    finished = python("pass")
    finished.wait()
    assert not finished.stop()


def test_a_command_that_passes_its_deadline_is_reported():
    with pytest.raises(TljhError, match=r"did not finish within 0\.2 s"):
        python("while True: pass", timeout_s=0.2).wait()


def test_a_listener_that_fails_ends_the_command():
    running = python("print('one', flush=True)\nwhile True: pass")

    def fail(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        running.wait(fail)
    assert running._process.returncode == -9
