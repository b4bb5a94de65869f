"""What the benchmarks of many users share: a machine, people in it, and a look at the hub."""

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
    """A fresh machine with the hub installed; with `name`, one that is up already."""
    if name:
        yield Machine.attach(name)
        return
    installed, channel = installed_image(image)
    with Machine.boot(installed, options=channel_mount(channel)) as machine:
        yield machine


def password_of(name: str) -> str:
    return f"{name}-has-a-password"


def add_people(machine: Machine, names: list[str]) -> float:
    """Put people with passwords into the hub; the seconds that it took."""
    lines = "".join(f"{name},{password_of(name)}\n" for name in names)
    machine.run(["tee", "/root/people.csv"], input="name,password\n" + lines)
    return machine.run("tljh user import /root/people.csv", timeout_s=1800).seconds


def at_once(work: Callable[[HubUser], T], users: list[HubUser]) -> list[T]:
    with ThreadPoolExecutor(len(users)) as pool:
        return list(pool.map(work, users))


@dataclass
class Start:
    """How one user's start went."""

    name: str
    seconds: float
    is_ready: bool
    message: str = ""


def start_and_wait(user: HubUser) -> Start:
    """Ask for the server and follow its progress, as the page of a browser does."""
    began_s = time.monotonic()
    try:
        answer = user.hub_api("POST", f"/users/{user.quoted}/server", timeout=300)
        assert answer.status_code in (201, 202), f"{answer.status_code}: {answer.text}"
        event = last_event(user)
    except (AssertionError, requests.RequestException) as error:
        return Start(user.name, time.monotonic() - began_s, False, str(error))
    return Start(
        user.name,
        time.monotonic() - began_s,
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
    """What asking /hub/health every tenth of a second found."""

    seconds: list[float] = field(default_factory=list)
    failures: int = 0

    def summary(self) -> dict[str, float]:
        return {
            "asked": len(self.seconds),
            "failed": self.failures,
            "median_ms": round(statistics.median(self.seconds) * 1000, 1),
            "longest_ms": round(max(self.seconds) * 1000, 1),
        }


@contextmanager
def watched_health(url: str) -> Iterator[Health]:
    """Ask the hub for its health, through the proxy, for as long as the block lasts."""
    found, over = Health(), threading.Event()

    def ask() -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not over.wait(HEALTH_EVERY_S):
                began_s = time.monotonic()
                try:
                    found.failures += not session.get(f"{url}/hub/health", timeout=60).ok
                except requests.RequestException:
                    found.failures += 1
                found.seconds.append(time.monotonic() - began_s)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


PROCESSOR_TIME = """
if [ -e /sys/fs/cgroup/cpu.stat ]; then awk '/^usage_usec/ {print $2 / 1e6}' /sys/fs/cgroup/cpu.stat
else awk '{print $1 / 1e9}' /sys/fs/cgroup/cpuacct/cpuacct.usage; fi
"""


@contextmanager
def processor_time(machine: Machine, found: dict[str, Any]) -> Iterator[None]:
    """Note in `found` what the whole machine computed: others on the computer count less there."""
    before = float(machine.run(PROCESSOR_TIME).stdout)
    yield
    found["processor_s"] = round(float(machine.run(PROCESSOR_TIME).stdout) - before, 1)


def percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
