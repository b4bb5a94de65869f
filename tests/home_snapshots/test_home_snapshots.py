"""Snapshots of the homes: where they can be made, which are kept, and whose uid they reserve."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.operations.test_converge import PATHS, install, machine, reload
from tljh.base.errors import TljhError
from tljh.home_snapshots.checks import CHECKS
from tljh.home_snapshots.problems import find_snapshot_problems
from tljh.host.accounts import Account, ensure_account
from tljh.host.fake import FakeHost
from tljh.host.home_snapshots import (
    Obstacle,
    SnapshotPlace,
    delete_snapshot,
    find_place,
    get_time,
    list_snapshots,
    make_snapshot,
)
from tljh.host.interface import Result
from tljh.operations.checklist import read_checklist
from tljh.operations.checks import examine_machine
from tljh.operations.home_snapshots import find_expired
from tljh.settings.load import load
from tljh.settings.sections.homes import KeptSnapshots

HOME = Path("/home")
NOON = datetime(2026, 11, 28, 12, tzinfo=timezone.utc)
TYPE = "stat --file-system --format=%T"
INODE = "stat --format=%i"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_: [])
    host = machine()
    install(host)
    if host.info(HOME) is None:
        host.mkdir(HOME, mode=0o755)
    return host


def configure(host: FakeHost, section: str) -> None:
    text = (host.read(PATHS.config_file) or b"").decode()
    lines = [line for line in text.splitlines() if not line.startswith("homes:")]
    reload(host, "\n".join([*lines, f"homes: {section}", ""]).encode())


def list_findings(host: FakeHost) -> list[str]:
    (check,) = CHECKS
    return [finding.what for _, finding in check.look(examine_machine(host, PATHS))]


def name_at(time: datetime) -> str:
    return time.strftime("tljh-%Y-%m-%dT%H-%M-%SZ")


def put_on_btrfs(host: FakeHost, *, inode: str = "256", inode_of_snapshots: str = "") -> None:
    host.answers |= {
        TYPE: Result(0, "btrfs\n"),
        f"{INODE} /home/.snapshots": Result(0, inode_of_snapshots),
        f"{INODE} /home": Result(0, f"{inode}\n"),
    }


def test_a_subvolume_of_btrfs_and_a_dataset_of_zfs_have_a_place(host):
    put_on_btrfs(host)
    assert find_place(host, HOME) == SnapshotPlace("btrfs", HOME)
    host.answers |= {TYPE: Result(0, "zfs\n"), "zfs list": Result(0, "tank/home\t/home\n")}
    place = find_place(host, HOME)
    assert place == SnapshotPlace("zfs", HOME, "tank/home")
    assert place.directory == Path("/home/.zfs/snapshot")


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({TYPE: Result(0, "ext2/ext3\n")}, "/home is on ext2/ext3, which makes no snapshots"),
        ({TYPE: Result(0, "btrfs\n"), INODE: Result(0, "262\n")}, "no subvolume of its own"),
        ({TYPE: Result(0, "btrfs\n"), INODE: Result(0, "256\n")}, "another program (snapper)"),
        ({TYPE: Result(0, "zfs\n"), "zfs list": Result(0, "tank\t/\n")}, "no dataset of its own"),
        ({TYPE: Result(0, "zfs\n"), "zfs list": Result(127, "")}, "no dataset of its own"),
    ],
)
def test_other_directories_have_a_reason_and_a_fix_and_a_reload_goes_on(host, answers, why):
    host.answers |= answers
    obstacle = find_place(host, HOME)
    assert isinstance(obstacle, Obstacle) and why in obstacle.why and "sudo " in obstacle.fix
    settings = load(b"homes: {snapshots: {enabled: true}}")
    (problem,) = find_snapshot_problems(settings, host)
    assert problem.severity == "warning"
    configure(host, "{snapshots: {enabled: true}}")
    assert not host.unit("tljh-snapshots.timer").is_active
    assert list_findings(host) == ["no snapshots of the homes are made"]


def test_the_timer_comes_and_goes_with_the_setting(host):
    put_on_btrfs(host)
    configure(host, "{snapshots: {enabled: true, schedule: 15min}}")
    assert host.unit("tljh-snapshots.timer").is_active
    assert b"OnCalendar=*:0/15" in host.read(PATHS.units_dir / "tljh-snapshots.timer")
    assert host.info(HOME / ".snapshots").mode == 0o755
    configure(host, "{}")
    assert not host.unit("tljh-snapshots.timer").is_active
    assert host.info(PATHS.units_dir / "tljh-snapshots.timer") is None
    assert host.info(HOME / ".snapshots") is not None


def test_the_checklist_asks_for_them_where_the_disk_can_make_them(host):
    def measure() -> tuple[str, str]:
        items = {item.name: item for item in read_checklist(host, PATHS)}
        return items["home-snapshots"].state, items["home-snapshots"].seen

    assert measure()[0] == "done"
    put_on_btrfs(host)
    assert measure() == ("missing", "none by a timer")
    configure(host, "{snapshots: {enabled: true}}")
    assert measure() == ("missing", "none yet")
    host.mkdir(HOME / ".snapshots" / name_at(NOON), mode=0o755)
    assert measure() == ("done", "1 snapshot, the last 2026-11-28 12:00 UTC")


def test_snapshots_are_made_and_deleted_by_the_file_systems_own_command(host):
    for place, creation, deletion in (
        (
            SnapshotPlace("btrfs", HOME),
            "btrfs subvolume snapshot -r /home /home/.snapshots/tljh-2026-11-28T12-00-00Z",
            "btrfs subvolume delete /home/.snapshots/tljh-2026-11-28T12-00-00Z",
        ),
        (
            SnapshotPlace("zfs", HOME, "tank/home"),
            "zfs snapshot tank/home@tljh-2026-11-28T12-00-00Z",
            "zfs destroy tank/home@tljh-2026-11-28T12-00-00Z",
        ),
    ):
        name = make_snapshot(host, place, NOON)
        delete_snapshot(host, place, name)
        assert creation in host.effects[-2] and deletion in host.effects[-1]


def test_what_others_made_is_neither_listed_nor_deleted(host):
    host.mkdir(HOME / ".snapshots", mode=0o755)
    for name in ("1", "tljh-notes", name_at(NOON)):
        host.mkdir(HOME / ".snapshots" / name, mode=0o755)
    place = SnapshotPlace("btrfs", HOME)
    assert list_snapshots(host, place) == [name_at(NOON)]
    for name in ("1", "../../etc", ""):
        with pytest.raises(TljhError, match="is no snapshot of tljh"):
            delete_snapshot(host, place, name)


def test_a_snapshot_that_fails_says_what_the_file_system_says(host):
    host.answers = {"btrfs": Result(1, "", "ERROR: No space left on device")}
    with pytest.raises(TljhError, match="No space left"):
        make_snapshot(host, SnapshotPlace("btrfs", HOME), NOON)


def test_an_old_last_snapshot_is_reported(host):
    put_on_btrfs(host)
    configure(host, "{snapshots: {enabled: true}}")
    host.mkdir(HOME / ".snapshots" / name_at(NOON - timedelta(days=400)), mode=0o755)
    assert list_findings(host) == ["the last snapshot of the homes is from 2025-10-24 12:00 UTC"]


def test_the_newest_of_each_period_is_kept():
    every_quarter = [NOON - timedelta(minutes=15 * n) for n in range(4 * 24 * 60)]
    names = sorted(map(name_at, every_quarter))
    keep = KeptSnapshots(latest=3, hourly=4, daily=2, weekly=2)
    kept = sorted(set(names) - set(find_expired(names, keep)), reverse=True)
    times = [f"{get_time(name):%d %H:%M}" for name in kept]
    newest = ["28 12:00", "28 11:45", "28 11:30"]
    # Friday was the 27th, and the week before ended on the 22nd.
    assert times == [*newest, "28 10:45", "28 09:45", "27 23:45", "22 23:45"]


@given(
    st.lists(st.integers(0, 3_000_000), unique=True, min_size=1),
    st.tuples(*[st.integers(0, 30)] * 4),
)
def test_pruning_keeps_the_newest_and_changes_nothing_when_it_is_repeated(minutes, counts):
    names = sorted(name_at(NOON - timedelta(minutes=each)) for each in minutes)
    latest, hourly, daily, weekly = counts
    keep = KeptSnapshots(latest=latest + 1, hourly=hourly, daily=daily, weekly=weekly)
    kept = [name for name in names if name not in find_expired(names, keep)]
    assert names[-1] in kept
    assert find_expired(kept, keep) == []


def test_no_account_gets_the_uid_of_a_home_in_a_snapshot(host):
    snapshot = HOME / ".snapshots" / name_at(NOON)
    for directory in (snapshot.parent, snapshot):
        host.mkdir(directory, mode=0o755)
    host.mkdir(snapshot / "jupyter-zoe", mode=0o700, owner="1007", group="1007")
    ensure_account(host, Account("jupyter-ann", "ann"))
    assert host.user("jupyter-ann").uid == 1008
