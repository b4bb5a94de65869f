"""Traffic that notices: a request each 20 ms of every kind, and web sockets held open."""

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
# As many as a hub is for; without a bound, a machine too slow for the rate never catches up.
MOST_WAITING = 100


@dataclass
class Probe:
    """One kind of request, sent every 20 ms while fewer than `MOST_WAITING` wait for an answer."""

    name: str
    send: Callable[[requests.Session], requests.Response]
    expected: tuple[int, ...] = (200,)
    verify: bool | str = True
    sent: int = 0
    failures: list[str] = field(default_factory=list)
    longest_s: float = 0.0

    def once(self) -> None:
        began_s = time.monotonic()
        try:
            with requests.Session() as session:
                session.trust_env = False
                session.verify = self.verify
                answer = self.send(session)
            if answer.status_code not in self.expected:
                self.failures.append(f"{answer.status_code}: {answer.text[:200]}")
        except requests.RequestException as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        self.longest_s = max(self.longest_s, time.monotonic() - began_s)
        self.sent += 1


def probes_of(user: HubUser, token: str) -> list[Probe]:
    """The login page, a POST to the hub's API, and the user's own server."""
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


@contextmanager
def traffic(probes: list[Probe]) -> Iterator[None]:
    """Send all probes for as long as the block runs, then wait for the last answers."""
    over = threading.Event()
    pending: list[threading.Thread] = []

    def keep_sending(probe: Probe) -> None:
        free = threading.Semaphore(MOST_WAITING)

        def send() -> None:
            probe.once()
            free.release()

        while not over.wait(EVERY_S):
            if free.acquire(timeout=EVERY_S):
                one = threading.Thread(target=send)
                one.start()
                pending.append(one)

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
    """A kernel's web socket that is held open and used every second, as an open notebook is.

    It has to be read all the time: Jupyter's server pings each 30 seconds, and drops whoever has
    not answered by the next ping.
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
            answer = execute_on(self.channel, "40 + 2", self.session)
        except (OSError, ValueError, AssertionError, websocket.WebSocketException) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        else:
            if answer != "42":
                self.failures.append(answer)
