"""The release on a fresh machine, piped into Python: its plan, its progress page, a second run."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from machine import Machine
from machine.image import CHECKOUT
from machine.install import CHANNEL, channel_mount, local_channel
from traffic import Probe, traffic

pytestmark = pytest.mark.machine

RELEASE = (
    "set -o pipefail; curl -fsS file:///root/bootstrap.py | "
    f"python3 - --admin ada --conda-channel file://{CHANNEL}"
)
TRACES = "/opt/* /usr/bin/tljh* /var/cache/tljh /var/tmp/tljh* /run/tljh* /var/lib/tljh*"


@pytest.fixture(scope="module")
def fresh(release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine that has nothing of ours but the release."""
    made: Path = tmp_path_factory.mktemp("dist")
    build = [sys.executable, str(CHECKOUT / "installer" / "build.py"), "--out", str(made)]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    with Machine.boot(release, options=channel_mount(local_channel(release))) as machine:
        machine.copy_in(made / "bootstrap.py", "/root/bootstrap.py")
        yield machine


def page(url: str) -> str:
    """What a visitor sees; nothing while nobody answers."""
    try:
        return requests.get(url, timeout=10).text
    except requests.ConnectionError:
        return ""


def test_a_plan_shows_the_installation_and_leaves_nothing_behind(fresh: Machine) -> None:
    told = fresh.run(f"{RELEASE} --plan", timeout_s=600).stdout
    assert re.search(r"unit +jupyterhub\.service", told)
    assert fresh.run(f"ls -d {TRACES}", check=False).stdout == ""
    assert fresh.run("getent passwd traefik", check=False).stdout == ""


def test_visitors_see_the_progress_and_then_the_hub_and_never_an_error(fresh: Machine) -> None:
    url = f"http://{fresh.address()}/"
    probe = Probe("page", lambda s: s.get(url, timeout=60))
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(fresh.run, f"{RELEASE} --show-progress-page", timeout_s=900)
        end_s = time.monotonic() + 120
        while not (first := page(url)):
            assert time.monotonic() < end_s and not done.done(), done
        with traffic([probe]):
            told = done.result().stdout
    assert "ada is an admin. Set the password here" in told
    assert "username_input" not in first
    assert "username_input" in page(url)
    assert probe.failures == []


def test_a_second_run_changes_nothing_and_restarts_nothing(fresh: Machine) -> None:
    started = "systemctl show -P ExecMainStartTimestampMonotonic jupyterhub traefik"
    before = fresh.run(started).stdout
    assert "Nothing to do" in fresh.run(RELEASE, timeout_s=300).stdout
    assert fresh.run(started).stdout == before
    assert fresh.run("tljh status").stdout.startswith("status: fine")


def test_a_later_run_moves_the_hub_to_another_port_from_the_progress_page(fresh: Machine) -> None:
    fresh.run(f"{RELEASE} --http-port 8081 --show-progress-page", timeout_s=300)
    assert "username_input" in page(f"http://{fresh.address()}:8081/")
    assert page(f"http://{fresh.address()}/") == ""
    assert fresh.run("tljh status").stdout.startswith("status: fine")
