"""Health of the hub while users wait for it too."""

from __future__ import annotations

import pytest

from tljh.base.errors import TljhError
from tljh.base.well_known import INSTANCE_HEADER
from tljh.host.fake import FakeHost
from tljh.host.interface import Response
from tljh.hub.health import Doors, wait_until_healthy

DOORS = Doors("http://127.0.0.1:1/hub/health", "http://127.0.0.1/hub/login", "this-one")
SOUND = Response(200, "", {INSTANCE_HEADER: "this-one"})


@pytest.fixture
def host():
    return FakeHost(responses={DOORS.hub: SOUND, DOORS.public: SOUND})


def test_a_hub_that_answers_earlier_requests_first_is_waited_for(host):
    host.answer_takes_s[DOORS.hub] = 25
    host.answer_takes_s[DOORS.public] = 15
    wait_until_healthy(host, DOORS, 60)


def test_a_silent_hub_is_unhealthy_at_the_deadline(host):
    host.answer_takes_s[DOORS.public] = 1000
    with pytest.raises(TljhError, match="after 60 s"):
        wait_until_healthy(host, DOORS, 60)
    assert 60 <= host.clock_s <= 66
