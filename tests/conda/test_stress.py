"""Trouble while packages change: a full disk, a vanished channel, two admins at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.conda.environment import RequiredPackage
from tljh.conda.package_changes import PackagePlan, PackageRequest, plan_changes
from tljh.conda.package_problems import examine
from tljh.conda.snapshots import read_snapshots
from tljh.host.real import RealHost
from tljh.operations.env_changes import change
from tljh.operations.installed_environment import PackageSources

from .conftest import CHECKOUT, DyingHost, Machine

REQUIRED = (RequiredPackage("python"),)


def open_machine(root: Path, channel: Path) -> Machine:
    paths = Paths(root)
    for directory in (paths.prefix, paths.versions, paths.state_dir):
        directory.mkdir(parents=True, exist_ok=True)
    return Machine(paths, DyingHost(), (str(channel),))


def build_in(root: Path, channel: Path) -> Machine:
    """Return a machine with river 1.0 in the environment."""
    machine = open_machine(root, channel)
    machine.apply(machine.environment("python", "river==1.0"))
    return machine


def plan_install(machine: Machine, *specs: str) -> PackagePlan:
    request = PackageRequest("install", specs)
    return plan_changes(machine.host, machine.paths, request, machine.channels, REQUIRED)


def make(machine: Machine, planned: PackagePlan) -> int:
    sources = PackageSources(machine.channels, REQUIRED)
    progress = SilentProgress()
    return change(RealHost(), machine.paths, planned, sources, progress, lambda *_: None)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 60 MB; skip where that is not allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this account may not mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path, free_bytes: int) -> Path:
    """Leave so much space on a disk; return the file that takes the rest."""
    filler = disk / "filler"
    with filler.open("wb") as stream:
        rest = shutil.disk_usage(disk).free - free_bytes
        while rest > 0:
            rest -= stream.write(bytes(min(rest, 1 << 20)))
    return filler


def test_a_disk_that_is_full_halfway_leaves_the_environment_as_it_was(small_disk, tiny):
    machine = build_in(small_disk / "tljh", tiny)
    planned = plan_install(machine, "boat", "barge")
    before = machine.contents()
    reasons = []
    # Each amount is used up at another point: by the journal, the snapshot, the copy, the packages.
    for free_bytes in (0, 50_000, 400_000, 1_500_000, 3_000_000):
        filler = fill(small_disk, free_bytes)
        try:
            make(machine, planned)
        except (TljhError, OSError) as error:
            reasons.append(str(error))
        else:
            break
        assert machine.contents() == before
        filler.unlink()
        machine.recover()
        assert machine.contents() == before
        assert not list(machine.paths.versions.glob(".replaced-user-*"))
    assert len(reasons) >= 2
    assert all("space" in reason or "full" in reason for reason in reasons), reasons
    if machine.contents() == before:
        make(machine, planned)
    assert machine.installed()["boat"] == "1.0"


def test_a_channel_that_vanishes_after_the_plan_changes_nothing(tmp_path, channel_copy):
    machine = build_in(tmp_path / "tljh", channel_copy)
    planned = plan_install(machine, "boat")
    before = machine.contents()
    shutil.rmtree(channel_copy)
    with pytest.raises(TljhError):
        make(machine, planned)
    assert machine.contents() == before
    with pytest.raises(TljhError, match="channel"):
        plan_install(machine, "boat")
    assert machine.contents() == before


def test_of_two_admins_at_once_the_second_plans_again(tmp_path, tiny):
    machine = build_in(tmp_path / "tljh", tiny)
    plans = [plan_install(machine, "boat"), plan_install(machine, "barge")]

    def attempt(planned: PackagePlan) -> str:
        try:
            make(machine, planned)
        except TljhError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        answers = sorted(pool.map(attempt, plans))
    assert answers[0] == "" and "has changed since this was planned" in answers[1]
    (installed,) = {"boat", "barge"} & machine.installed().keys()
    make(machine, plan_install(machine, *({"boat", "barge"} - {installed})))
    assert {"boat", "barge"} <= machine.installed().keys()
    numbers = [snapshot.number for snapshot in read_snapshots(machine.host, machine.paths.versions)]
    assert numbers == [1, 2, 3]


# Installs boat, in its own process.
INSTALL = """
import sys
from pathlib import Path
from tests.conda.test_stress import make, open_machine, plan_install
machine = open_machine(Path(sys.argv[1]), Path(sys.argv[2]))
make(machine, plan_install(machine, "boat", "barge"))
"""

# Where it is killed: in the journal, in the copy, while packages are linked, before and after the
# exchange.
KILL_POINTS = (
    "state/journal/pending/steps.jsonl",
    "versions/.replaced-user-*/bin",
    "versions/.replaced-user-*/conda-meta/boat-*.json",
    "versions/.replaced-user-*.inode",
    "user/conda-meta/boat-*.json",
)


@pytest.mark.long
def test_an_installation_that_is_killed_anywhere_leaves_a_whole_environment(tmp_path, tiny):
    root = tmp_path / "tljh"
    machine = build_in(root, tiny)
    before, reached = machine.contents(), 0
    for pattern in KILL_POINTS:
        command = [sys.executable, "-c", INSTALL, str(root), str(tiny)]
        process = subprocess.Popen(command, cwd=CHECKOUT, start_new_session=True)
        while process.poll() is None and not list(root.glob(pattern)):
            pass
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            reached += 1
        process.wait()
        machine.recover()
        examined = examine(machine.host, machine.paths, is_quick=False)
        assert [p for p in examined.problems if p.kind != "owner"] == [], pattern
        assert not list(machine.paths.versions.glob(".replaced-user-*")), pattern
        if "boat" in machine.installed():
            # The process was done before it was killed.
            request = PackageRequest("remove", ("boat", "barge"))
            arguments = (machine.host, machine.paths, request, machine.channels, REQUIRED)
            make(machine, plan_changes(*arguments))
        else:
            assert machine.contents() == before, pattern
        before = machine.contents()
    assert reached >= 4
