"""Room on the disk: what is shown, what is pruned, and what the settings write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.operations.test_converge import PATHS, install, machine, reload
from tljh.base.errors import TljhError
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.progress import SilentProgress
from tljh.engine.removals import RemovedTree
from tljh.host.fake import FakeHost
from tljh.host.interface import Result, UnitInfo
from tljh.hub.backup import contents
from tljh.operations.checks import examine_machine
from tljh.operations.disk_usage import clean_disks, measure_disks
from tljh.operations.generalization import plan_generalization
from tljh.operations.release_change import ReleaseBefore
from tljh.operations.unused_environments import find_unused_environments
from tljh.operations.usage_report import read_report

DF = """\
Mounted on   1B-blocks        Used       Avail
/          100000000000 60000000000 40000000000
/          100000000000 60000000000 40000000000
"""
JOURNAL = "systemd-journald.service"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_: [])
    host = machine()
    install(host)
    for directory in ("/etc/systemd/journald.conf.d", "/run"):
        host.mkdir(Path(directory), mode=0o755)
    host.unit_states[JOURNAL] = UnitInfo(JOURNAL, "loaded", "active", enabled="static")
    return host


def configure(host: FakeHost, section: str) -> None:
    text = (host.read(PATHS.config_file) or b"").decode()
    lines = [line for line in text.splitlines() if not line.startswith("housekeeping:")]
    reload(host, "\n".join([*lines, f"housekeeping: {section}", ""]).encode())


def restarts(host: FakeHost) -> int:
    return sum(f"systemctl restart {JOURNAL}" in effect for effect in host.effects)


def test_the_journals_limit_is_in_effect_at_once_and_goes_with_the_setting(host):
    assert restarts(host) == 0
    configure(host, "{journal: 500M, clean: never}")
    assert b"SystemMaxUse=500M" in host.read(PATHS.journal_limit)
    assert restarts(host) == 1
    assert not host.unit("tljh-clean.timer").is_active
    configure(host, "{journal: 500M, clean: weekly}")
    assert restarts(host) == 1
    assert host.unit("tljh-clean.timer").is_active
    configure(host, "{}")
    assert host.info(PATHS.journal_limit) is None
    assert restarts(host) == 2
    assert host.unit("tljh-clean.timer").is_active


def test_who_and_what_takes_the_space_is_listed_largest_first(host):
    sizes = {"/opt/tljh/user": 3_000_000_000, "/var/log": 5_000, "/var/cache/apt": 90_000}

    def du(argv: Sequence[str]) -> Result:
        size = sizes.get(argv[-1])
        return Result(0, f"{size}\t{argv[-1]}\n") if size else Result(1)

    host.answers |= {"du": du, "df": Result(0, DF)}
    report = measure_disks(host, PATHS)
    assert [usage.path for usage in report.usages] == [
        "/opt/tljh/user",
        "/var/cache/apt",
        "/var/log",
    ]
    [root] = report.file_systems
    assert (root.mount, root.percent) == ("/", 60)


def test_a_pruning_that_fails_stops_no_other(host):
    ran = []

    def fail(argv: Sequence[str]) -> Result:
        ran.append(argv[0])
        return Result(1, "", "no room")

    host.answers |= dict.fromkeys(("apt-get", "journalctl", "find"), fail)
    host.answers["df"] = Result(0, "Avail\n100\n100\n")
    assert clean_disks(host, PATHS, SilentProgress()) == 0
    assert ran == ["apt-get", "journalctl", "find", "find"]


def put_environment(host: FakeHost, name: str) -> Path:
    """Add a finished hub environment to the machine; return its directory."""
    environment = PATHS.versions / name
    stamp = HubEnvironmentFiles(environment).stamp
    for directory in (environment, environment / "share", stamp.parent):
        host.mkdir(directory, mode=0o755)
    host.write(stamp, b"{}", mode=0o644)
    return environment


def test_hub_environments_that_nothing_leads_back_to_are_removed(host):
    names = ("hub-a", "hub-b", "hub-c", "hub-d", "hub-e")
    oldest, older, newest, before, _ = [put_environment(host, name) for name in names]
    unfinished = PATHS.versions / "hub-unfinished"
    host.mkdir(unfinished, mode=0o755)
    host.symlink(PATHS.hub, "versions/hub-e")
    record = ReleaseBefore("0.1.0", before, "0.2.0", Path("/copy"), 3, {})
    host.write(PATHS.release_before, record.as_bytes(), mode=0o600)
    built = dict(zip(names, (10, 20, 30, 5, 40), strict=True))

    def stat(argv: Sequence[str]) -> Result:
        stamps = [Path(path) for path in argv[2:] if host.read(Path(path)) is not None]
        return Result(0, "".join(f"{built[path.parts[-4]]} {path}\n" for path in stamps))

    host.answers |= {"stat": stat, "df": Result(0, "Avail\n100\n100\n")}
    host.answers |= dict.fromkeys(("apt-get", "journalctl", "find"), Result(0))
    assert find_unused_environments(host, PATHS) == [older, oldest]
    clean_disks(host, PATHS, SilentProgress())
    assert [host.info(path) is None for path in (oldest, older)] == [True, True]
    assert None not in [host.info(path) for path in (newest, before, unfinished)]
    assert find_unused_environments(host, PATHS) == []


TIMERS = ("tljh-history.timer", "tljh-homes.timer")


def test_the_history_of_use_is_kept_for_as_long_as_the_setting_says(host):
    service = PATHS.units_dir / "tljh-history.service"
    assert all(host.unit(timer).is_active for timer in TIMERS)
    assert b"usage_sampling sample 31\n" in host.read(service)
    configure(host, "{history: 7}")
    assert b"usage_sampling sample 7\n" in host.read(service)
    host.write(PATHS.usage_history, b"a history", mode=0o600)
    configure(host, "{history: 0}")
    assert not any(host.unit(timer).is_active for timer in TIMERS)
    assert host.info(service) is None
    assert host.info(PATHS.usage_history) is None
    with pytest.raises(TljhError, match="no history of use is kept"):
        read_report(host, PATHS, week=False)
    configure(host, "{}")
    assert all(host.unit(timer).is_active for timer in TIMERS)


def test_the_history_of_use_is_in_no_backup(host):
    host.write(PATHS.usage_history, b"a history", mode=0o600)
    host.write(PATHS.alert_state, b"{}", mode=0o600)
    config = examine_machine(host, PATHS).config
    assert config is not None
    staged = contents(host, config, PATHS).staged
    assert PATHS.alert_state in staged
    assert PATHS.usage_history not in staged


def test_a_copy_of_the_machine_begins_its_own_history(host):
    host.write(PATHS.usage_history, b"a history", mode=0o600)
    steps = [step.resource for step in plan_generalization(host, PATHS).steps]
    assert RemovedTree(PATHS.usage_history) in steps
