"""Fixtures of the integration tests: real systemd machines, and hubs installed in them.

Where no machine can be booted the tests count as 'not run', with the reason in the last line.
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

MACHINE_FIXTURES = {
    "machine",
    "installed",
    "installed_shared",
    "installed_snapshot",
    "host",
    "virtual",
}
NO_MACHINE = "no machine: "


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--machine-image",
        default=os.environ.get("TLJH_MACHINE_IMAGE", DEFAULT_RELEASE),
        help=f"what machines run: {', '.join(RELEASES)}, or an image",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A terminated run still removes its machines: SystemExit unwinds the fixtures.
    signal.signal(signal.SIGTERM, lambda signum, frame: pytest.exit("terminated", 143))


def pytest_unconfigure(config: pytest.Config) -> None:
    # Processes that ran tests side by side are killed when this one is told to end.
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
    """The release that machines of this session run; skips where none can be booted."""
    wanted: str = request.config.getoption("--machine-image")
    try:
        ensure_image(find_engine(), wanted)
    except CannotBoot as reason:
        pytest.skip(f"{NO_MACHINE}{reason}")
    return wanted


@pytest.fixture
def machine(release: str, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A fresh machine, as a VM is when it was just made.

    `@pytest.mark.machine(ports={8000: 80}, with_caches=False, …)` passes options to `boot`.
    """
    marker = request.node.get_closest_marker("machine")
    options: dict[str, Any] = dict(marker.kwargs) if marker else {}
    with Machine.boot(options.pop("image", release), **options) as booted:
        yield booted


@pytest.fixture(scope="session")
def installed_snapshot(release: str) -> tuple[str, list[str]]:
    """A machine image with the hub installed by the real bootstrap, and its boot options."""
    image, channel = installed_image(release)
    return image, channel_mount(channel)


@pytest.fixture
def installed(installed_snapshot: tuple[str, list[str]]) -> Iterator[Machine]:
    """A machine of its own with the hub installed and running, a second after boot."""
    image, options = installed_snapshot
    with Machine.boot(image, options=options) as booted:
        yield booted


@pytest.fixture(scope="module")
def installed_shared(installed_snapshot: tuple[str, list[str]]) -> Iterator[Machine]:
    """Like `installed`, one for all tests of a module, which leave it as they found it."""
    image, options = installed_snapshot
    with Machine.boot(image, options=options) as booted:
        yield booted


@pytest.fixture
def virtual() -> Iterator[VirtualMachine]:
    """A fresh QEMU machine: cgroup v2, project quotas, a kernel of its own. Slow."""
    try:
        ensure_disk(DEFAULT_RELEASE)
    except CannotBoot as reason:
        pytest.skip(f"{NO_MACHINE}{reason}")
    with VirtualMachine.boot() as booted:
        yield booted


@pytest.fixture
def host(request: pytest.FixtureRequest) -> Any:
    """pytest-testinfra's view of the machine that the test uses; a fresh one by default."""
    for name in ("installed", "installed_shared"):
        if name in request.fixturenames:
            return connect(request.getfixturevalue(name))
    return connect(request.getfixturevalue("machine"))


def connect(machine: Machine) -> Any:
    return testinfra.get_host(f"{machine.engine.kind}://{machine.name}")


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Count a test that had no machine apart from those that were skipped on purpose."""
    if report.skipped and isinstance(report.longrepr, tuple):
        _, had_none, reason = report.longrepr[2].partition(NO_MACHINE)
        if had_none:
            return f"not run ({reason})", "N", "NOT RUN"
    return None
