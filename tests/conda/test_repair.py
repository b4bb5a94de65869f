"""Repairs: what is missing or wrong comes back, from the snapshots or from packages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.conda.package_problems import PackageProblem, examine
from tljh.conda.package_repairs import select_repairable
from tljh.conda.snapshot_requests import UNKNOWN_CAUSE, SnapshotLimits, record
from tljh.conda.snapshots import read_snapshots
from tljh.operations.env_repair import Repair, repair
from tljh.operations.installed_environment import PackageSources

from .conftest import DyingHost, Killed, Machine
from .test_package_problems import append, cut_off, make_hashed_wheel, site_packages

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an environment belongs to root")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Machine:
    """Return a machine with conda's ferry, barge and boat, and pip's raft; a copy is in `whole`."""
    root = tmp_path_factory.mktemp("repaired")
    machine = Machine(Paths(root / "tljh"), DyingHost(), (str(tiny),))
    make_directories(machine.paths)
    wheel = make_hashed_wheel(root, "raft", "1.0")
    specs = ("python", "ferry==1.0", "barge==1.0", "boat")
    machine.apply(machine.environment(*specs, requirements=(f"raft @ {wheel.as_uri()}",)))
    shutil.copytree(machine.user, root / "whole", symlinks=True)
    return machine


def make_directories(paths: Paths) -> None:
    for directory in (paths.prefix, paths.versions, paths.state_dir):
        directory.mkdir(parents=True, exist_ok=True)


@pytest.fixture
def shared(built: Machine) -> Machine:
    """Return the machine as built, without any snapshot yet."""
    shutil.rmtree(built.paths.prefix)
    make_directories(built.paths)
    shutil.copytree(built.paths.prefix.parent / "whole", built.user, symlinks=True)
    return built


@pytest.fixture
def recorded(shared: Machine) -> Machine:
    """Return the copy with a snapshot, and no channel that can be reached."""
    record(shared.host, shared.paths, UNKNOWN_CAUSE, SnapshotLimits(10, 1 << 30))
    return Machine(shared.paths, shared.host, ("file:///nowhere",))


def find_problems(machine: Machine) -> tuple[PackageProblem, ...]:
    return select_repairable(examine(machine.host, machine.paths, is_quick=False).problems)


def carry_out(machine: Machine) -> Repair:
    problems = find_problems(machine)
    sources = PackageSources(machine.channels, ())
    return repair(machine.host, machine.paths, problems, sources, SilentProgress())


def modes(root: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(root)): (path.lstat().st_mode, path.lstat().st_uid)
        for path in root.rglob("*")
        if path.suffix != ".pyc" and path.name != "__pycache__"
    }


def damage_everything(user: Path, site: Path) -> None:
    (site / "ferry/__init__.py").unlink()
    shutil.rmtree(user / "share/boat")
    append(site / "barge.py")
    append(site / "raft/__init__.py")
    (user / "bin/ferry").chmod(0o644)
    (user / "bin/row").unlink()
    (site / "ferry").chmod(0o777)
    os.chown(site / "raft-1.0.dist-info/METADATA", 1000, 1000)
    cut_off(next((user / "conda-meta").glob("boat-*.json")))
    next((user / "conda-meta").glob("river-*.json")).unlink()
    (site / "~aft").mkdir()
    shutil.copytree(site / "raft-1.0.dist-info", site / "raft-0.9.dist-info")
    (site / "raft-0.9.dist-info/RECORD").write_text("raft/gone.py,,\n")


def test_everything_comes_back_from_the_snapshots_without_a_channel(recorded):
    before, before_modes = recorded.contents(), modes(recorded.user)
    damage_everything(recorded.user, site_packages(recorded))
    done = carry_out(recorded)
    assert done.remaining == ()
    assert recorded.contents() == before
    assert modes(recorded.user) == before_modes
    assert any("ferry from the snapshots" in line for line in done.done)
    last = read_snapshots(recorded.host, recorded.paths.versions)[-1]
    assert (last.number, last.command) == (done.snapshot, "env repair")
    assert find_problems(recorded) == ()


DAMAGES: dict[str, Callable[[Path, Path], object]] = {
    "files of conda and pip": lambda user, site: [
        (site / "ferry/__init__.py").unlink(),
        (user / "bin/ferry").unlink(),
        append(site / "barge.py"),
        append(site / "raft/__init__.py"),
    ],
    "a record": lambda user, site: cut_off(next((user / "conda-meta").glob("boat-*.json"))),
    "owner and mode": lambda user, site: [
        os.chown(site / "barge.py", 1000, 1000),
        (user / "bin").chmod(0o777),
        (user / "bin/ferry").chmod(0o600),
    ],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_snapshots_packages_are_fetched_again(shared, damage):
    before = shared.contents()
    DAMAGES[damage](shared.user, site_packages(shared))
    done = carry_out(shared)
    assert done.remaining == ()
    after = shared.contents()
    if damage == "a record":
        # Its time and the specs that were asked for are lost.
        after = {path: data for path, data in after.items() if "boat-" not in path}
        before = {path: data for path, data in before.items() if "boat-" not in path}
    assert {p for p in before if before[p] != after.get(p)} <= {
        # uv writes where a distribution came from.
        *(p for p in before if "raft-1.0.dist-info" in p)
    }
    assert examine(shared.host, shared.paths, is_quick=False).problems == ()


def test_a_copy_that_was_edited_in_place_does_not_poison_the_repair(recorded):
    module = site_packages(recorded) / "barge.py"
    content = module.read_bytes()
    with module.open("ab") as stream:
        stream.write(b"# edited in place\n")
    carry_out(recorded)
    assert module.read_bytes() == content


def test_what_cannot_be_repaired_is_named_and_nothing_changes(shared):
    unreachable = Machine(shared.paths, shared.host, ("file:///nowhere",))
    record_file = next((shared.user / "conda-meta").glob("boat-*.json"))
    cut_off(record_file)
    before = shared.contents()
    with pytest.raises(TljhError, match="nothing could be repaired"):
        carry_out(unreachable)
    assert shared.contents() == before


def test_a_repair_that_is_killed_leaves_the_environment_before(recorded):
    damage_everything(recorded.user, site_packages(recorded))
    before = recorded.contents()
    for step in (1, 2, 3):
        recorded.host.dies_at, recorded.host.seen = step, 0
        with pytest.raises(Killed):
            carry_out(recorded)
        recorded.host.dies_at = None
        recorded.recover()
        assert recorded.contents() == before
