"""apt-get beside the machine's own updates."""

from __future__ import annotations

import io

import pytest

from tljh.base.errors import TljhError
from tljh.base.progress import LineProgress
from tljh.host import apt
from tljh.host.fake import FakeHost
from tljh.host.interface import Result

HELD = Result(
    100, "", "E: Could not get lock /var/cache/apt/archives/lock. It is held by process 7 (apt)"
)


def test_an_install_waits_while_another_one_downloads():
    answers = iter([HELD, HELD, Result(0)])
    host = FakeHost(answers={"apt-get": lambda argv: next(answers)})
    told = io.StringIO()
    apt.install(host, ["git"], LineProgress(told))
    assert next(answers, None) is None
    assert told.getvalue().count("waiting for process 7 (apt) to be done") == 1
    assert "run apt-get update" not in " ".join(host.effects)


def test_the_wait_has_an_end_and_says_what_held_the_lock():
    host = FakeHost(answers={"apt-get": HELD})
    with pytest.raises(TljhError, match=r"process 7 \(apt\) has held"):
        apt.install(host, ["git"], LineProgress(io.StringIO()))
    assert apt.LOCK_TIMEOUT_S <= host.clock_s < 2 * apt.LOCK_TIMEOUT_S


NOTHING_HERE = Result(100, "", "E: Unable to fetch some archives, maybe run apt-get update")
UNKNOWN = Result(100, "", "E: Unable to locate package gti")


def verbs_of(host: FakeHost) -> list[str]:
    """What apt-get was asked for, without the options that every call has."""
    known = ("--no-download", "--download-only", "update")
    calls = [effect for effect in host.effects if effect.startswith("run apt-get")]
    return [word for call in calls for word in call.split() if word in known]


def test_what_was_downloaded_before_is_installed_without_the_network():
    host = FakeHost()
    apt.install(host, ["git"], LineProgress(io.StringIO()))
    assert verbs_of(host) == ["--no-download"]


def test_a_download_that_comes_to_no_end_is_given_up_and_tried_again():
    hang = TljhError("apt-get did not end within 240 s")
    answers = {
        "--no-download": iter([NOTHING_HERE, Result(0)]),
        "--download-only": iter([hang, hang, Result(0)]),
        "update": iter([Result(0), Result(0)]),
    }

    def answer(argv):
        found = next(next(answers[word] for word in argv if word in answers))
        if isinstance(found, TljhError):
            raise found
        return found

    host = FakeHost(answers={"apt-get": answer})
    apt.install(host, ["git"], LineProgress(io.StringIO()))
    assert verbs_of(host) == [
        "--no-download",
        *["--download-only", "update"] * 2,
        "--download-only",
        "--no-download",
    ]


def test_a_network_without_an_end_is_told_after_some_attempts():
    def answer(argv):
        if "--no-download" in argv:
            return NOTHING_HERE
        raise TljhError("apt-get did not end within 240 s")

    host = FakeHost(answers={"apt-get": answer})
    with pytest.raises(TljhError, match="did not end within 240 s"):
        apt.install(host, ["git"], LineProgress(io.StringIO()))
    assert verbs_of(host).count("--download-only") == apt.DOWNLOAD_ATTEMPTS


def test_a_package_that_no_fresh_list_knows_is_not_asked_for_again():
    host = FakeHost(answers={"apt-get": lambda argv: Result(0) if "update" in argv else UNKNOWN})
    with pytest.raises(TljhError, match="Unable to locate package gti"):
        apt.install(host, ["gti"], LineProgress(io.StringIO()))
    assert verbs_of(host).count("update") == 1
