"""The release on a fresh machine, piped into Python: its plan, its progress page, a second run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Response, expect

from browser import page_of
from machine import Machine
from machine.image import CHECKOUT
from machine.install import CHANNEL, channel_mount, local_channel
from waiting import wait_until

pytestmark = pytest.mark.machine

RELEASE = (
    "set -o pipefail; curl -fsS file:///root/bootstrap.py | "
    f"python3 - --admin ada --conda-channel file://{CHANNEL}"
)
TRACES = "/opt/* /usr/bin/tljh* /var/cache/tljh /var/tmp/tljh* /run/tljh* /var/lib/tljh*"


@dataclass(frozen=True)
class Installation:
    """What the bootstrap printed, and what a visitor's browser loaded meanwhile.

    `documents` are the addresses that the browser moved to, with the status of each answer.
    """

    output: str
    heading: str
    documents: list[tuple[str, int]]
    script_errors: list[str]


@pytest.fixture(scope="module")
def fresh(release: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Boot a machine that has nothing of tljh but the release."""
    directory: Path = tmp_path_factory.mktemp("dist")
    build = [sys.executable, str(CHECKOUT / "installer" / "build.py"), "--out", str(directory)]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    with Machine.boot(release, options=channel_mount(local_channel(release))) as machine:
        machine.copy_in(directory / "bootstrap.py", "/root/bootstrap.py")
        yield machine


@pytest.fixture(scope="module")
def plan(fresh: Machine) -> tuple[str, str]:
    """Plan the installation; return the plan and what it left on the machine."""
    output = fresh.run(f"{RELEASE} --plan", timeout_s=600).stdout
    return output, fresh.run(f"ls -d {TRACES}; getent passwd traefik", check=False).stdout


@pytest.fixture(scope="module")
def installation(fresh: Machine, plan: tuple[str, str]) -> Installation:
    """Install after the plan, with the progress page open in a browser."""
    url = f"http://{fresh.address()}/"
    documents: list[tuple[str, int]] = []
    script_errors: list[str] = []

    def record_document(response: Response) -> None:
        # Not what the page's script requests: it polls through refusals and error answers.
        if response.request.is_navigation_request():
            documents.append((response.url, response.status))

    with ThreadPoolExecutor(1) as pool, page_of(url) as visitor:
        visitor.on("response", record_document)
        visitor.on("pageerror", lambda error: script_errors.append(str(error)))
        run = pool.submit(fresh.run, f"{RELEASE} --show-progress-page", timeout_s=900)
        wait_until(lambda: run.done() or page(url), "a page is served", timeout_s=120)
        assert not run.done(), run
        visitor.goto("/")
        heading = visitor.locator("h1").inner_text()
        # The page has to move on by itself.
        expect(visitor.locator("#username_input")).to_be_visible(timeout=900_000)
        output = run.result().stdout
    return Installation(output, heading, documents, script_errors)


def page(url: str) -> str:
    """Return the text of a page, empty where nothing listens."""
    try:
        return requests.get(url, timeout=10).text
    except requests.ConnectionError:
        return ""


def test_a_plan_shows_the_installation_and_leaves_nothing_behind(plan: tuple[str, str]) -> None:
    output, traces = plan
    assert re.search(r"unit +jupyterhub\.service", output)
    assert traces == ""


def test_a_visitors_page_shows_the_progress_and_moves_on_to_the_hub(
    fresh: Machine, installation: Installation
) -> None:
    assert "ada is an admin. Set the password here" in installation.output
    assert installation.heading == "Setting up your JupyterHub"
    assert installation.documents[0] == (f"http://{fresh.address()}/", 200)
    assert installation.documents[-1][0].startswith(f"http://{fresh.address()}/hub/login")
    assert all(status < 400 for _, status in installation.documents), installation.documents
    assert installation.script_errors == []


def test_a_second_run_changes_nothing_and_restarts_nothing(
    fresh: Machine, installation: Installation
) -> None:
    start_times = "systemctl show -P ExecMainStartTimestampMonotonic jupyterhub traefik"
    before = fresh.run(start_times).stdout
    assert "Nothing to do" in fresh.run(RELEASE, timeout_s=300).stdout
    assert fresh.run(start_times).stdout == before
    assert fresh.run("tljh status").stdout.startswith("status: fine")


@pytest.fixture
def port_80_afterwards(fresh: Machine) -> Iterator[None]:
    yield
    fresh.run("tljh-config set http.port 80 && tljh-config reload", timeout_s=180)


def test_a_later_run_moves_the_hub_to_another_port_from_the_progress_page(
    fresh: Machine, installation: Installation, port_80_afterwards: None
) -> None:
    fresh.run(f"{RELEASE} --http-port 8081 --show-progress-page", timeout_s=300)
    assert "username_input" in page(f"http://{fresh.address()}:8081/")
    assert page(f"http://{fresh.address()}/") == ""
    assert fresh.run("tljh status").stdout.startswith("status: fine")
