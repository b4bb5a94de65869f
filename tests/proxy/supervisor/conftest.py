"""A supervised Traefik for each test that asks for one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from .. import traffic
from ..traffic import Setup

Scenario = Callable[[Setup], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Callable[[Scenario], None]]:
    """Run a scenario with a backend and a supervised Traefik, and leave nothing behind."""
    setups: list[Setup] = []

    async def played(scenario: Scenario) -> None:
        async with traffic.backend() as port:
            setup = Setup(tmp_path, port)
            setups.append(setup)
            setup.write()
            await asyncio.to_thread(setup.start)
            await scenario(setup)

    yield lambda scenario: asyncio.run(played(scenario))
    for setup in setups:
        setup.clean_up()


async def until(condition: Callable[[], object], timeout_s: float = 15) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not within the deadline"
        await asyncio.sleep(0.02)
