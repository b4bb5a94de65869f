"""How long a refused login takes, whatever its name."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest
from jupyterhub.auth import Authenticator

from tljh.hub.process import login_guard
from tljh.hub.process.login_guard import RefusalTimes, make_guarded_class
from tljh.hub.process.password_hashing import hash_in_thread


class Directory(Authenticator):
    """Like a directory or PAM: it computes a hash only for a name that exists."""

    allow_all = True

    async def authenticate(self, handler, data):
        if data["username"] == "ada":
            await hash_in_thread(data["password"])
            return "ada" if data["password"] == "right" else None
        return None


def seconds_of(authenticator: Authenticator, name: str, password: str = "wrong") -> float:
    handler = SimpleNamespace(
        request=SimpleNamespace(remote_ip="192.0.2.1", headers={}, connection=None)
    )
    start_s = time.monotonic()
    data = {"username": name, "password": password}
    user = asyncio.run(authenticator.get_authenticated_user(handler, data))
    assert (user is not None) == (password == "right")
    return time.monotonic() - start_s


@pytest.mark.parametrize("shortest_s", [0.5, 0.01])
def test_a_refusal_takes_the_same_time_for_known_and_unknown_names(monkeypatch, shortest_s):
    monkeypatch.setattr(login_guard, "SHORTEST_REFUSAL_S", shortest_s)
    authenticator = make_guarded_class(Directory)()
    seconds = [seconds_of(authenticator, name) for name in ("ada", "nobody", "ada", "nobody")]
    # The first shows how long a check takes, where that is longer than the shortest refusal.
    assert max(seconds[1:]) < min(seconds[1:]) * 1.5 + 0.05, seconds
    assert min(seconds) >= shortest_s


def test_a_login_that_is_right_does_not_wait(monkeypatch):
    monkeypatch.setattr(login_guard, "SHORTEST_REFUSAL_S", 5.0)
    assert seconds_of(make_guarded_class(Directory)(), "ada", "right") < 4


def test_a_slow_refusal_is_forgotten_and_a_very_slow_one_delays_nobody_for_as_long():
    times = RefusalTimes()
    assert times.compute_delay_s(0.1, 0) == pytest.approx(0.4)
    assert times.compute_delay_s(2.0, 10) == 0
    assert times.compute_delay_s(0.1, 20) == pytest.approx(1.9)
    assert times.compute_delay_s(15.0, 30) == 0
    assert times.compute_delay_s(0.1, 40) == pytest.approx(4.9)
    assert times.compute_delay_s(0.1, 1000) == pytest.approx(0.4)
