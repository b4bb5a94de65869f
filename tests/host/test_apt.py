"""apt-get beside the machine's own updates."""

from __future__ import annotations

import io

import pytest

from tljh.errors import TljhError
from tljh.host import apt
from tljh.host.base import Result
from tljh.host.fake import FakeHost
from tljh.output import Lines

HELD = Result(
    100, "", "E: Could not get lock /var/cache/apt/archives/lock. It is held by process 7 (apt)"
)


def test_an_install_waits_while_another_one_downloads():
    answers = iter([HELD, HELD, Result(0)])
    host = FakeHost(answers={"apt-get": lambda argv: next(answers)})
    told = io.StringIO()
    apt.install(host, ["git"], Lines(told))
    assert next(answers, None) is None
    assert told.getvalue().count("waiting for process 7 (apt) to be done") == 1
    assert "run apt-get update" not in " ".join(host.effects)


def test_the_wait_has_an_end_and_says_what_held_the_lock():
    host = FakeHost(answers={"apt-get": HELD})
    with pytest.raises(TljhError, match=r"process 7 \(apt\) has held"):
        apt.install(host, ["git"], Lines(io.StringIO()))
    assert apt.LOCK_TIMEOUT_S <= host.clock_s < 2 * apt.LOCK_TIMEOUT_S
