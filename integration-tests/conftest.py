"""Fixtures of the integration tests: real systemd machines, and hubs installed in them.

On a computer that cannot boot machines the tests count as 'not run', and the last line says why.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import testinfra

from machine import CannotBoot, Machine, owner
from machine.engine import find_engine
from machine.image import DEFAULT_RELEASE, RELEASES, ensure_image
from machine.install import channel_mount, installed_image
from machine.virtual import VirtualMachine, ensure_disk
from waiting import wait_until

MACHINE_FIXTURES = {
    "machine",
    "installed",
    "installed_shared",
    "installed_snapshot",
    "host",
    "virtual",
}
NO_MACHINE = "no machine: "
CONFIG = "/opt/tljh/config/config.yaml"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--machine-image",
        default=os.environ.get("TLJH_MACHINE_IMAGE", DEFAULT_RELEASE),
        help=f"image of the machines: {', '.join(RELEASES)}, or another one",
    )


def pytest_configure(config: pytest.Config) -> None:
    # pytest.exit unwinds the fixtures, so a terminated run removes its machines.
    signal.signal(signal.SIGTERM, lambda signum, frame: pytest.exit("terminated", 143))


def pytest_unconfigure(config: pytest.Config) -> None:
    # When this process is terminated, it kills the parallel test processes, whose machines stay.
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        with contextlib.suppress(CannotBoot):
            owner.remove_orphans(find_engine())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if MACHINE_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("machine")


@pytest.fixture(scope="session")
def release(request: pytest.FixtureRequest) -> str:
    """Return the release of this session's machines; skip where none can be booted."""
    name: str = request.config.getoption("--machine-image")
    try:
        ensure_image(find_engine(), name)
    except CannotBoot as reason:
        pytest.skip(f"{NO_MACHINE}{reason}")
    return name


@pytest.fixture
def machine(release: str, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """Boot a fresh machine, like a new VM.

    `@pytest.mark.machine(ports={8000: 80}, with_caches=False, …)` passes options to `boot`.
    """
    marker = request.node.get_closest_marker("machine")
    options: dict[str, Any] = dict(marker.kwargs) if marker else {}
    with Machine.boot(options.pop("image", release), **options) as booted:
        yield booted


@pytest.fixture(scope="session")
def installed_snapshot(release: str) -> tuple[str, list[str]]:
    """Return an image with the hub installed by the real bootstrap, and its boot options."""
    image, channel = installed_image(release)
    return image, channel_mount(channel)


@contextlib.contextmanager
def boot_hub(snapshot: tuple[str, list[str]]) -> Iterator[Machine]:
    """Boot a machine of a snapshot, and wait until its hub serves pages.

    systemd counts a hub as started a second or two before Traefik checks it again.
    """
    image, options = snapshot
    with Machine.boot(image, options=options) as booted:
        wait_until(lambda: booted.run("tljh status", check=False).code == 0, "a hub that is fine")
        yield booted


@pytest.fixture
def installed(installed_snapshot: tuple[str, list[str]]) -> Iterator[Machine]:
    """Boot a machine for one test, with the hub installed and running."""
    with boot_hub(installed_snapshot) as booted:
        yield booted


@pytest.fixture(scope="module")
def installed_shared(installed_snapshot: tuple[str, list[str]]) -> Iterator[Machine]:
    """Boot a machine with the hub for all tests of a module; each restores what it changes."""
    with boot_hub(installed_snapshot) as booted:
        yield booted


@pytest.fixture
def cleanup() -> Iterator[contextlib.ExitStack]:
    """Collect callbacks that undo a test's changes, and run them after it, the last one first."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def restored_config(installed_shared: Machine) -> Iterator[None]:
    """Restore and apply config.yaml after a test that changes it."""
    installed_shared.run(f"cp -a {CONFIG} /root/config.saved")
    yield
    installed_shared.run(f"cp -a /root/config.saved {CONFIG}")
    installed_shared.run("tljh-config reload", timeout_s=180)


@pytest.fixture
def virtual() -> Iterator[VirtualMachine]:
    """Boot a fresh QEMU machine, with cgroup v2, project quotas and its own kernel. Slow."""
    try:
        ensure_disk(DEFAULT_RELEASE)
    except CannotBoot as reason:
        pytest.skip(f"{NO_MACHINE}{reason}")
    with VirtualMachine.boot() as booted:
        yield booted


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Any:
    """Return pytest-testinfra's host for the test's machine, by default a fresh one."""
    for name in ("installed", "installed_shared"):
        if name in request.fixturenames:
            return connect(request.getfixturevalue(name))
    return connect(request.getfixturevalue("machine"))


def connect(machine: Machine) -> Any:
    return testinfra.get_host(f"{machine.engine.kind}://{machine.name}")


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Count tests without a machine separately from tests that were skipped on purpose."""
    if report.skipped and isinstance(report.longrepr, tuple):
        _, has_no_machine, reason = report.longrepr[2].partition(NO_MACHINE)
        if has_no_machine:
            return f"not run ({reason})", "N", "NOT RUN"
    return None
