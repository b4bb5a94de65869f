"""A machine with many users, and measurements of its hub, for several benchmarks."""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "integration-tests"))

from machine import Machine  # noqa: E402
from machine.install import channel_mount, installed_image  # noqa: E402
from session import HubUser  # noqa: E402

T = TypeVar("T")
HEALTH_EVERY_S = 0.1


@contextmanager
def installed_machine(image: str, name: str | None) -> Iterator[Machine]:
    """Boot a machine with the hub installed; with `name`, use a machine that runs already."""
    if name:
        yield Machine.attach(name)
        return
    installed, channel = installed_image(image)
    with Machine.boot(installed, options=channel_mount(channel)) as machine:
        yield machine


def password_of(name: str) -> str:
    return f"{name}-has-a-password"


def add_users(machine: Machine, names: list[str]) -> float:
    """Import users with passwords, and return the seconds that it took."""
    lines = "".join(f"{name},{password_of(name)}\n" for name in names)
    machine.run(["tee", "/root/users.csv"], input="name,password\n" + lines)
    return machine.run("tljh user import /root/users.csv", timeout_s=1800).seconds


def at_once(work: Callable[[HubUser], T], users: list[HubUser]) -> list[T]:
    with ThreadPoolExecutor(len(users)) as pool:
        return list(pool.map(work, users))


@dataclass
class Start:
    """The start of a user's server: its duration and its outcome."""

    name: str
    seconds: float
    is_ready: bool
    message: str = ""


def start_and_wait(user: HubUser) -> Start:
    """Ask for the server and follow its progress, as the page of a browser does."""
    start_s = time.monotonic()
    try:
        response = user.hub_api("POST", f"/users/{user.quoted}/server", timeout=300)
        assert response.status_code in (201, 202), f"{response.status_code}: {response.text}"
        event = last_event(user)
    except (AssertionError, requests.RequestException) as error:
        return Start(user.name, time.monotonic() - start_s, False, str(error))
    return Start(
        user.name,
        time.monotonic() - start_s,
        bool(event.get("ready")),
        str(event.get("message", "")),
    )


def last_event(user: HubUser) -> dict[str, object]:
    path = f"/users/{user.quoted}/server/progress"
    with user.hub_api("GET", path, stream=True, timeout=600) as stream:
        event: dict[str, object] = {}
        for line in stream.iter_lines():
            if line.startswith(b"data: "):
                event = json.loads(line.removeprefix(b"data: "))
        return event


@dataclass
class Health:
    """Durations and failures of a request to /hub/health every tenth of a second."""

    seconds: list[float] = field(default_factory=list)
    failures: int = 0

    def summary(self) -> dict[str, float]:
        return {
            "requests": len(self.seconds),
            "failed": self.failures,
            "median_ms": round(statistics.median(self.seconds) * 1000, 1),
            "longest_ms": round(max(self.seconds) * 1000, 1),
        }


@contextmanager
def watched_health(url: str) -> Iterator[Health]:
    """Request the hub's health, through the proxy, while the block runs."""
    health, over = Health(), threading.Event()

    def send() -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not over.wait(HEALTH_EVERY_S):
                start_s = time.monotonic()
                try:
                    health.failures += not session.get(f"{url}/hub/health", timeout=60).ok
                except requests.RequestException:
                    health.failures += 1
                health.seconds.append(time.monotonic() - start_s)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield health
    finally:
        over.set()
        thread.join()


PROCESSOR_TIME = """
if [ -e /sys/fs/cgroup/cpu.stat ]; then awk '/^usage_usec/ {print $2 / 1e6}' /sys/fs/cgroup/cpu.stat
else awk '{print $1 / 1e9}' /sys/fs/cgroup/cpuacct/cpuacct.usage; fi
"""


@contextmanager
def processor_time(machine: Machine, results: dict[str, Any]) -> Iterator[None]:
    """Put the machine's processor time during the block into `results`.

    Other work on the computer changes it less than it changes the seconds that pass.
    """
    before = float(machine.run(PROCESSOR_TIME).stdout)
    yield
    results["processor_s"] = round(float(machine.run(PROCESSOR_TIME).stdout) - before, 1)


def percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
