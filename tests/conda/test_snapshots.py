"""Snapshots of real directories: exact, cheap, safe from edits in place and from kills."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import subprocess
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tljh.base.errors import TljhError
from tljh.conda.snapshot_requests import UNKNOWN_CAUSE, Cause, SnapshotLimits, record
from tljh.conda.snapshot_resources import EnvironmentRecorded, EnvironmentRestored
from tljh.conda.snapshots import read_snapshots
from tljh.conda.worker import snapshots, trees
from tljh.conda.worker.snapshot_store import SnapshotStore

from .conftest import Machine

GROUP = 12345

LIMITS = SnapshotLimits(10, 1 << 40)


def exact(root: Path) -> dict[str, tuple[object, ...]]:
    """Read all that a snapshot must bring back: content, mode, owner and time, links as links."""
    states = {}
    for path in [root, *sorted(root.rglob("*"))]:
        info = path.lstat()
        content: object = None
        if path.is_symlink():
            content = path.readlink()
        elif path.is_file():
            content = path.read_bytes()
        owner = (info.st_uid, info.st_gid)
        time = None if stat.S_ISDIR(info.st_mode) else info.st_mtime_ns
        states[str(path.relative_to(root))] = (info.st_mode, owner, time, content)
    return states


@dataclass
class Workshop:
    """An environment, and the place of its snapshots."""

    root: Path
    most_snapshots: int = 10
    user: Path = field(init=False)
    store: SnapshotStore = field(init=False)

    def __post_init__(self) -> None:
        self.user = self.root / "user"
        self.store = SnapshotStore(self.root / "versions")

    def request(self, **more: object) -> dict[str, Any]:
        return {
            "prefix": str(self.user),
            "versions": str(self.root / "versions"),
            "user": "ada",
            "command": "pip install x",
            "most_snapshots": self.most_snapshots,
            "most_bytes": 1 << 40,
            **more,
        }

    def record(self, **more: object) -> int:
        return int(snapshots.record(self.request(**more))["number"])

    @property
    def other(self) -> Path:
        return self.root / "versions" / ".replaced-user-1"

    def restore(self, number: int) -> None:
        trees.remove_tree(self.other)
        asyncio.run(snapshots.restore(self.request(snapshot=number, other=str(self.other))))

    def revert(self) -> None:
        request = {"prefix": str(self.user), "other": str(self.other), "existed": True}
        trees.revert(request)

    def edit(self, name: str, text: str = "edited") -> None:
        """Write a file in place, as an editor that follows hard links does."""
        (self.user / name).parent.mkdir(parents=True, exist_ok=True)
        (self.user / name).write_text(text)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    shop = Workshop(tmp_path)
    (tmp_path / "versions").mkdir()
    shop.edit("lib/python3.12/site-packages/boat/__init__.py", "import river")
    shop.edit("lib/python3.12/site-packages/boat-1.0.dist-info/METADATA", "Name: boat")
    shop.edit("conda-meta/river-2.0-0.json", "{}")
    shop.edit("share/licence", "private")
    (shop.user / "share/licence").chmod(0o640)
    (shop.user / "course").mkdir()
    (shop.user / "course").chmod(0o2775)
    shop.edit("bin/tool", "#!/bin/sh\n")
    (shop.user / "bin/tool").chmod(0o755)
    (shop.user / "bin/alias").symlink_to("tool")
    (shop.user / "bin/dangling").symlink_to("/nowhere")
    (shop.user / "share/caf\udce9").write_bytes(b"a name that is no text")
    if os.geteuid() == 0:
        os.chown(shop.user / "share/licence", 0, GROUP)
        os.chown(shop.user / "course", 0, GROUP)
        (shop.user / "course").chmod(0o2775)
    return shop


def ruin(shop: Workshop) -> None:
    """Break an environment in all the ways that admins do."""
    shop.edit("lib/python3.12/site-packages/boat/__init__.py", "raise SystemExit")
    (shop.user / "conda-meta/river-2.0-0.json").unlink()
    subprocess.run(["chmod", "-R", "777", shop.user], check=True)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "nobody", shop.user], check=True)
    shop.edit("new/file")
    (shop.user / "bin/alias").unlink()
    (shop.user / "bin/alias").symlink_to("elsewhere")
    (shop.user / "bin/tool").rename(shop.user / "bin/moved")


def test_a_ruined_environment_comes_back_to_the_byte_mode_and_owner(workshop):
    before = exact(workshop.user)
    assert workshop.record() == 1
    ruin(workshop)
    assert exact(workshop.user) != before
    workshop.restore(1)
    assert exact(workshop.user) == before


def test_the_state_before_a_rollback_can_be_gone_back_to(workshop):
    workshop.record()
    ruin(workshop)
    ruined = exact(workshop.user)
    assert workshop.record() == 2
    workshop.restore(1)
    assert workshop.record(command="rollback 1") == 3
    workshop.restore(2)
    assert exact(workshop.user) == ruined


def test_an_extended_attribute_comes_back(workshop):
    try:
        os.setxattr(workshop.user / "share/licence", "user.origin", b"shop")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    workshop.record()
    os.removexattr(workshop.user / "share/licence", "user.origin")
    workshop.restore(1)
    assert os.getxattr(workshop.user / "share/licence", "user.origin") == b"shop"


def test_an_edit_that_keeps_size_and_time_is_seen(workshop):
    workshop.record()
    path = workshop.user / "bin/tool"
    info = path.stat()
    path.write_text("#!/bin/no\n")
    os.utime(path, ns=(info.st_mtime_ns, info.st_mtime_ns))
    assert snapshots.compare(workshop.request(old=1, new=None))["paths"] == ["~ bin/tool"]


def test_a_mode_that_changed_is_a_difference(workshop):
    workshop.record()
    (workshop.user / "bin/tool").chmod(0o700)
    assert workshop.record() == 2


def test_without_a_change_no_snapshot_is_made(workshop):
    assert [workshop.record(), workshop.record()] == [1, 1]


def test_byte_code_makes_no_snapshot_of_its_own_and_is_in_the_last_one(workshop):
    workshop.record()
    workshop.edit("lib/python3.12/site-packages/boat/__pycache__/__init__.cpython-312.pyc", "code")
    before = exact(workshop.user)
    assert workshop.record() == 1
    ruin(workshop)
    workshop.restore(1)
    assert exact(workshop.user) == before


def test_a_second_snapshot_stores_only_what_changed(workshop):
    workshop.record()
    size = workshop.store.size_bytes()
    workshop.edit("new", "new")
    workshop.record()
    assert workshop.store.size_bytes() - size == (workshop.user / "new").stat().st_blocks * 512


def test_the_history_names_packages_of_conda_and_pip(workshop):
    workshop.record()
    packages = workshop.user / "lib/python3.12/site-packages"
    (packages / "boat-1.0.dist-info").rename(packages / "boat-2.0.dist-info")
    workshop.edit("lib/python3.12/site-packages/Big_Anchor-3.dist-info/METADATA")
    (workshop.user / "conda-meta/river-2.0-0.json").unlink()
    assert workshop.record() == 2
    changes = workshop.store.description(2)["changes"]
    assert changes == ["+ big-anchor 3", "~ boat 1.0 -> 2.0", "- river 2.0"]


def test_where_no_package_changed_the_history_names_files(workshop):
    workshop.record()
    for name in ("a", "b", "c", "d"):
        workshop.edit(f"etc/{name}")
    workshop.record()
    assert workshop.store.description(2)["changes"] == ["~ etc, etc/a, etc/b and 2 more"]


def test_old_snapshots_are_pruned_but_the_first_and_named_ones(workshop):
    workshop.most_snapshots = 4
    for number in range(1, 8):
        workshop.edit("counter", f"content number {number}")
        workshop.record()
        if number == 3:
            workshop.store.describe(3, names=["before exams"])
    assert workshop.store.numbers() == [1, 3, 6, 7]
    workshop.restore(3)
    assert (workshop.user / "counter").read_text() == "content number 3"
    objects = (workshop.store.directory / "objects").rglob("*/*.z")
    stored = [zlib.decompress(path.read_bytes()) for path in objects]
    assert b"content number 3" in stored
    assert b"content number 4" not in stored


def test_snapshots_above_the_size_are_pruned(workshop):
    for number in range(1, 5):
        workshop.edit("counter", f"content number {number}")
        workshop.record(most_bytes=1)
    assert workshop.store.numbers() == [1, 4]


def test_a_damaged_snapshot_is_refused_before_the_exchange(workshop):
    workshop.record()
    workshop.edit("bin/tool", "changed")
    before = exact(workshop.user)
    content = workshop.store.entries(1)["bin/tool"].content
    (stored,) = workshop.store.object_path(content).parent.glob(f"{content[2:]}*")
    stored.write_text("damaged")
    with pytest.raises(snapshots.CondaProblem, match="damaged"):
        workshop.restore(1)
    assert exact(workshop.user) == before


def test_packages_of_condas_cache_are_in_no_snapshot_and_stay(workshop):
    workshop.edit("pkgs/boat.conda", "archive")
    workshop.record()
    assert not any(path.startswith("pkgs") for path in workshop.store.entries(1))
    workshop.edit("bin/tool", "changed")
    workshop.restore(1)
    assert (workshop.user / "pkgs/boat.conda").read_text() == "archive"


def test_a_running_program_keeps_what_it_has_open(workshop):
    workshop.record()
    with (workshop.user / "bin/tool").open() as stream:
        workshop.edit("new")
        workshop.restore(1)
        trees.remove_tree(workshop.other)
        assert stream.read() == "#!/bin/sh\n"


def test_snapshots_are_readable_by_root_alone(workshop):
    workshop.record()
    assert stat.S_IMODE((workshop.root / "versions/user-1").stat().st_mode) == 0o700
    assert stat.S_IMODE(workshop.store.directory.stat().st_mode) == 0o700


class Killed(BaseException):
    """Simulates SIGKILL: no handler of the code under test runs on it."""


EFFECTS = (
    (Path, "rename"),
    (Path, "replace"),
    (Path, "unlink"),
    (Path, "mkdir"),
    (Path, "write_bytes"),
    (Path, "touch"),
    (os, "link"),
    (os, "chown"),
    (trees, "_exchange"),
    (trees, "flush"),
)


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Return a function that has the effect with a number raise Killed instead."""

    def arm(number: int) -> None:
        effects = 0

        def dying(real: Callable[..., Any]) -> Callable[..., Any]:
            def effect(*arguments: object, **options: object) -> object:
                nonlocal effects
                effects += 1
                if effects > number:
                    raise Killed
                return real(*arguments, **options)

            return effect

        for owner, name in EFFECTS:
            monkeypatch.setattr(owner, name, dying(getattr(owner, name)))

    yield arm


def run_until_killed(
    monkeypatch: pytest.MonkeyPatch, kill_at: Callable[[int], None], number: int, act: Any
) -> bool:
    """Run `act` and kill it at an effect; return whether it came to its end before."""
    with monkeypatch.context():
        kill_at(number)
        try:
            act()
        except Killed:
            return False
        finally:
            monkeypatch.undo()
    return True


def test_killed_at_any_effect_of_a_rollback_the_environment_is_one_of_the_two(
    workshop, monkeypatch, kill_at
):
    workshop.record()
    good = exact(workshop.user)
    ruin(workshop)
    ruined = exact(workshop.user)
    workshop.record()
    for number in range(1000):
        ended = run_until_killed(monkeypatch, kill_at, number, lambda: workshop.restore(1))
        assert exact(workshop.user) in (good, ruined)
        workshop.revert()
        assert exact(workshop.user) == ruined
        if ended:
            break
    assert ended
    assert number > 20
    workshop.restore(1)
    assert exact(workshop.user) == good


def test_killed_at_any_effect_of_a_snapshot_all_earlier_ones_are_whole(
    workshop, monkeypatch, kill_at
):
    workshop.record()
    good = exact(workshop.user)
    workshop.most_snapshots = 2
    for number in range(1000):
        workshop.edit("counter", f"{number}")
        ended = run_until_killed(monkeypatch, kill_at, number, workshop.record)
        for snapshot in workshop.store.numbers():
            workshop.store.entries(snapshot)
        last = workshop.record()
        assert workshop.store.numbers() == [1, last]
        if ended:
            break
    assert ended
    workshop.restore(1)
    assert exact(workshop.user) == good
    workshop.record()
    used = {e.content for n in workshop.store.numbers() for e in workshop.store.entries(n).values()}
    workshop.store.sweep()
    for directory in (workshop.store.directory / "objects").iterdir():
        names = {path.name.removesuffix(".z") for path in directory.iterdir()}
        assert {directory.name + name for name in names} <= used


# Through the engine


@pytest.fixture
def recorded(machine: Machine) -> Machine:
    """Return an environment with a snapshot, which was broken after it."""
    machine.apply(machine.environment("river==1.0", "anchor"))
    record(machine.host, machine.paths, Cause("ada", "install"), LIMITS)
    (machine.user / "conda-meta/river-1.0-0.json").unlink()
    record(machine.host, machine.paths, Cause("ada", "rm"), LIMITS)
    return machine


def rollback_to_1(machine: Machine) -> tuple[EnvironmentRestored, EnvironmentRecorded]:
    restored = EnvironmentRestored(machine.paths, 1)
    return restored, EnvironmentRecorded(machine.paths, (restored,), "rollback 1", LIMITS)


def test_a_rollback_through_the_engine_is_a_new_snapshot(recorded):
    recorded.apply(*rollback_to_1(recorded))
    assert recorded.installed() == {"anchor": "1.0", "river": "1.0"}
    last = read_snapshots(recorded.host, recorded.paths.versions)[-1]
    assert (last.number, last.command, last.changes) == (3, "rollback 1", ("+ river 1.0",))


def test_a_rollback_that_fails_brings_the_broken_environment_back_and_leaves_no_snapshot(recorded):
    before = recorded.contents()

    def fail() -> None:
        raise TljhError("the hub does not answer")

    with pytest.raises(TljhError, match="does not answer"):
        recorded.apply(*rollback_to_1(recorded), health=fail)
    assert recorded.contents() == before
    assert [s.number for s in read_snapshots(recorded.host, recorded.paths.versions)] == [1, 2]


def test_what_other_programs_changed_is_a_snapshot_before_packages_are_installed(recorded):
    (recorded.user / "etc").mkdir()
    (recorded.user / "etc/by-hand").write_text("ours")
    recorded.apply(recorded.environment("boat==1.0", limits=LIMITS))
    last = read_snapshots(recorded.host, recorded.paths.versions)[-1]
    assert (last.command, last.changes) == ("", ("~ etc, etc/by-hand",))


# What packages can bring again is linked


@pytest.fixture
def linked(make_machine: Callable[..., Machine], channel_copy: Path) -> Machine:
    """Return a machine with a snapshot of an environment from a channel that a test may remove."""
    machine = make_machine([channel_copy])
    machine.apply(machine.environment("python", "ferry==1.0", "river==1.0"))
    record(machine.host, machine.paths, Cause("ada", "install"), LIMITS)
    return machine


DATA = "share/river/version"


def edit_in_place(path: Path, text: str = "edited in place") -> None:
    with path.open("r+") as stream:
        stream.write(text)


def test_a_snapshot_links_files_of_packages_and_copies_what_is_edited_by_hand(linked):
    (module,) = linked.user.rglob("ferry/__init__.py")
    assert (linked.user / DATA).stat().st_nlink == 2
    assert module.stat().st_nlink == 1
    store = SnapshotStore(linked.paths.versions)
    size = sum(path.stat().st_size for path in linked.user.rglob("*") if path.is_file())
    assert store.size_bytes() < size / 2


@pytest.mark.parametrize("is_recorded", [False, True])
def test_an_edit_in_place_of_a_linked_file_does_not_change_the_snapshot(linked, is_recorded):
    before = exact(linked.user)
    edit_in_place(linked.user / DATA)
    (linked.user / DATA).chmod(0o600)
    if is_recorded:
        record(linked.host, linked.paths, UNKNOWN_CAUSE, LIMITS)
    linked.apply(EnvironmentRestored(linked.paths, 1))
    assert exact(linked.user) == before
    if is_recorded:
        linked.apply(EnvironmentRestored(linked.paths, 2))
        assert (linked.user / DATA).read_text().startswith("edited in place")


def test_without_its_channel_only_a_linked_file_that_was_edited_in_place_is_lost(
    linked, channel_copy
):
    before = exact(linked.user)
    (module,) = linked.user.rglob("ferry/__init__.py")
    edit_in_place(module)
    (linked.user / "share/river/only-in-1.0").unlink()
    shutil.rmtree(channel_copy)
    linked.apply(EnvironmentRestored(linked.paths, 1))
    assert exact(linked.user) == before
    edit_in_place(linked.user / DATA)
    ruined = exact(linked.user)
    with pytest.raises(TljhError, match="the snapshot is damaged") as error:
        linked.apply(EnvironmentRestored(linked.paths, 1))
    assert "river" in str(error.value)
    assert exact(linked.user) == ruined


def test_files_of_replaced_packages_come_back_without_their_channel(linked, channel_copy):
    before = exact(linked.user)
    linked.apply(linked.environment("river==2.0"))
    shutil.rmtree(channel_copy)
    linked.apply(EnvironmentRestored(linked.paths, 1))
    assert exact(linked.user) == before
