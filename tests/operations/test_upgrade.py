"""What the timer of upgrades does with an address that does not answer."""

from __future__ import annotations

import pytest

from tests.operations.test_converge import PATHS, install, machine
from tests.operations.test_converge import no_conda as no_conda
from tljh.base.errors import TljhError
from tljh.host.fake import FakeHost
from tljh.operations.upgrade import find_scheduled, look_for_releases
from tljh.upgrades.known_releases import read_known_releases


def make_host(automatic: str) -> FakeHost:
    host = machine()
    install(host)
    text = f"upgrade: {{url: 'https://releases.example.org', automatic: {automatic}}}\n"
    host.write(PATHS.config_file, text.encode(), mode=0o600)
    return host


def test_a_look_that_fails_is_no_failure_of_the_timer_and_is_kept():
    host = make_host("notify")
    assert find_scheduled(host, PATHS) is None
    problem = read_known_releases(host, PATHS).problem
    assert problem == "https://releases.example.org/releases.json cannot be downloaded"


def test_an_upgrade_that_was_asked_for_and_a_look_by_hand_fail_with_the_reason():
    with pytest.raises(TljhError, match="cannot be downloaded"):
        find_scheduled(make_host("all"), PATHS)
    with pytest.raises(TljhError, match="cannot be downloaded"):
        look_for_releases(make_host("notify"), PATHS)
