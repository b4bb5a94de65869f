"""Steady traffic that records every failure: requests of several kinds, and open web sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests
import websocket

from session import HubUser, execute_on

EVERY_S = 0.02
TIMEOUT_S = 90
# A hub is for about so many users. Without a bound, a machine that is too slow for the rate would
# never catch up.
MAX_WAITING = 100


@dataclass
class Probe:
    """A kind of request, sent every 20 ms while fewer than `MAX_WAITING` wait for a response."""

    name: str
    send: Callable[[requests.Session], requests.Response]
    expected: tuple[int, ...] = (200,)
    verify: bool | str = True
    sent: int = 0
    failures: list[str] = field(default_factory=list)
    longest_s: float = 0.0

    def send_once(self) -> None:
        start_s = time.monotonic()
        try:
            with requests.Session() as session:
                session.trust_env = False
                session.verify = self.verify
                response = self.send(session)
            if response.status_code not in self.expected:
                self.failures.append(f"{response.status_code}: {response.text[:200]}")
        except requests.RequestException as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        self.longest_s = max(self.longest_s, time.monotonic() - start_s)
        self.sent += 1


def probes_of(user: HubUser, token: str) -> list[Probe]:
    """Return probes of the login page, of a POST to the hub's API, and of the user's server."""
    authorized = {"Authorization": f"token {token}"}
    probes = [
        Probe("login page", lambda s: s.get(f"{user.url}/hub/login", timeout=TIMEOUT_S)),
        Probe(
            "POST to the hub",
            lambda s: s.post(
                f"{user.url}/hub/api/users/{user.name}/activity",
                headers=authorized,
                json={"servers": {}, "last_activity": "2026-01-01T00:00:00Z"},
                timeout=TIMEOUT_S,
            ),
        ),
        Probe(
            "the user's server",
            lambda s: s.get(f"{user.server}/api/status", headers=authorized, timeout=TIMEOUT_S),
        ),
    ]
    for probe in probes:
        probe.verify = user.verify
    return probes


def failures_of(probes: list[Probe]) -> dict[str, list[str]]:
    """Return the failures by the names of the probes that had any."""
    return {probe.name: probe.failures for probe in probes if probe.failures}


@contextmanager
def traffic(probes: list[Probe]) -> Iterator[None]:
    """Send all probes while the block runs, then wait for the last responses."""
    over = threading.Event()
    pending: list[threading.Thread] = []

    def keep_sending(probe: Probe) -> None:
        slots = threading.Semaphore(MAX_WAITING)

        def send() -> None:
            probe.send_once()
            slots.release()

        while not over.wait(EVERY_S):
            if slots.acquire(timeout=EVERY_S):
                thread = threading.Thread(target=send)
                thread.start()
                pending.append(thread)

    senders = [threading.Thread(target=keep_sending, args=(probe,)) for probe in probes]
    for sender in senders:
        sender.start()
    try:
        yield
    finally:
        over.set()
        for thread in [*senders, *pending]:
            thread.join()


class HeldKernel:
    """A kernel's web socket that stays open and is used every second, like an open notebook.

    Jupyter's server pings every 30 seconds and closes a web socket that has not answered by the
    next ping. Pings are answered while reading, so the socket is read all the time.
    """

    def __init__(self, user: HubUser) -> None:
        self.session = "held"
        kernel = user.start_kernel()
        self.channel = user.socket(f"/api/kernels/{kernel}/channels?session_id={self.session}")
        self.failures: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_using)

    def __enter__(self) -> HeldKernel:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._use()
        self.channel.close()

    def _keep_using(self) -> None:
        while not self.failures and not self._over.wait(1):
            self._use()

    def _use(self) -> None:
        try:
            result = execute_on(self.channel, "40 + 2", self.session)
        except (OSError, ValueError, AssertionError, websocket.WebSocketException) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        else:
            if result != "42":
                self.failures.append(result)
