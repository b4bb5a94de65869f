"""Fixtures of the tests that share one running hub per module."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.hub.process.running import RunningHub


@pytest.fixture
def restart_with(hub: RunningHub) -> Iterator[Callable[..., None]]:
    """Restart the module's hub with another configuration, and with its own after the test."""
    text, drop_in = hub.text, hub.drop_in
    yield hub.restart
    if (hub.text, hub.drop_in) != (text, drop_in):
        hub.restart(text, drop_in)
