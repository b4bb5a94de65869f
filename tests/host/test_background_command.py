from __future__ import annotations

import sys

import pytest

from tljh.base.errors import TljhError
from tljh.host.background_command import RunningCommand

# More than a pipe holds.
TALKATIVE = "import sys; [print('x' * 99) for _ in range(2000)]; sys.exit(3)"


def python(code: str, timeout_s: float = 60) -> RunningCommand:
    return RunningCommand([sys.executable, "-c", code], timeout_s, None, "a question\n")


def test_lines_that_came_before_somebody_listened_are_told_in_order():
    running = python("print('one', flush=True); print(input())")
    heard: list[str] = []
    done = running.wait(heard.append)
    assert heard == ["one", "a question"]
    assert (done.code, done.out) == (0, "one\na question\n")


def test_a_command_that_says_more_than_a_pipe_holds_comes_to_its_end_unheard():
    running = python(TALKATIVE)
    running._process.wait(60)
    assert running.wait().code == 3


def test_a_command_is_stopped_unless_its_outcome_was_taken():
    endless = python("while True: pass")
    assert endless.stop()
    assert endless._process.returncode == -9
    taken = python("pass")
    taken.wait()
    assert not taken.stop()


def test_a_command_that_outlives_its_deadline_is_told():
    with pytest.raises(TljhError, match=r"did not finish within 0\.2 s"):
        python("while True: pass", timeout_s=0.2).wait()


def test_a_listener_that_fails_ends_the_command():
    running = python("print('one', flush=True)\nwhile True: pass")

    def fail(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        running.wait(fail)
    assert running._process.returncode == -9
