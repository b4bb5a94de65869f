"""The engine: plan, journalled apply, rollback, recovery after a kill at every effect."""

from __future__ import annotations

import errno
import io
import os
import signal
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from tljh.base import progress as progress_module
from tljh.base.errors import TljhError
from tljh.base.interruptions import raised_as_exceptions
from tljh.base.progress import SilentProgress, choose_progress
from tljh.engine.account_resources import Group, SystemUser
from tljh.engine.apply import ChangeContext, apply, recover
from tljh.engine.apt_resource import AptPackages
from tljh.engine.file_resources import Absent, Directory, File, Symlink
from tljh.engine.journal import Journal
from tljh.engine.plan import plan
from tljh.host.fake import FakeHost, Killed
from tljh.host.interface import FileInfo, Result
from tljh.systemd.unit_resource import Unit

JOURNAL = Journal(Path("/opt/tljh/state/journal"))
CONTEXT = ChangeContext("root", "test", {"config.yaml": b"users: {}\n"})


def desired(content: bytes = b"one"):
    settings = File(Path("/opt/tljh/etc/settings"), content, mode=0o600)
    return [
        Directory(Path("/opt/tljh"), 0o755),
        Directory(Path("/opt/tljh/etc"), 0o755),
        Group("learners", members=frozenset()),
        SystemUser("proxy", Path("/nonexistent")),
        AptPackages(("git",)),
        settings,
        File(Path("/etc/systemd/system/hub.service"), b"[Service]\n"),
        Symlink(Path("/usr/bin/tool"), "/opt/tljh/tool"),
        Absent(Path("/etc/old")),
        Unit("hub.service", restart_on=(settings,)),
    ]


def fresh() -> FakeHost:
    host = FakeHost()
    host.files[Path("/etc/old")] = (FileInfo("file", 0o644, "root", "root"), b"old")
    return host


def run(host: FakeHost, resources=None, health=lambda: None):
    recover(host, JOURNAL, SilentProgress())
    resources = desired() if resources is None else resources
    return apply(
        plan(resources, host), host, JOURNAL, CONTEXT, progress=SilentProgress(), health=health
    )


def state_of(host: FakeHost):
    """Return a machine's state, without the journal and Debian packages: a rollback keeps those."""
    files = {
        path: (info.kind, info.mode, info.owner, content)
        for path, (info, content) in host.files.items()
        if path != Path("/opt/tljh/state") and Path("/opt/tljh/state") not in path.parents
    }
    units = {name: (u.active, u.is_enabled) for name, u in host.unit_states.items()}
    return files, host.accounts, set(host.group_entries), units


def test_second_apply_of_the_same_state_changes_nothing():
    host = fresh()
    assert run(host) == 1
    before = len(host.effects)
    assert run(host) is None
    assert len(host.effects) == before


def test_planning_has_no_effect():
    host = fresh()
    assert plan(desired(), host)
    assert host.effects == []


def test_a_changed_file_restarts_the_unit_that_reads_it_and_says_why():
    host = fresh()
    run(host)
    step = plan(desired(b"two"), host).steps[-1]
    assert step.resource.name == "hub.service"
    assert step.difference.summary == "restart: /opt/tljh/etc/settings changed"


def test_a_failed_health_check_rolls_everything_back_and_says_why():
    host = fresh()
    run(host)
    before = state_of(host)

    def sick():
        raise TljhError("the hub does not answer", why="last lines of its log")

    with pytest.raises(TljhError, match="the hub does not answer") as caught:
        run(host, desired(b"two"), health=sick)
    assert "every change was rolled back" in str(caught.value)
    assert state_of(host) == before
    assert JOURNAL.numbers(host) == [1]
    systemctl = [effect for effect in host.effects if effect.startswith("systemctl")]
    assert systemctl[-1] == "systemctl restart hub.service"


def test_a_trigger_that_is_not_planned_is_an_error():
    forgotten = File(Path("/etc/forgotten"), b"")
    with pytest.raises(ValueError, match="its trigger file /etc/forgotten is not planned"):
        plan([Unit("hub.service", reload_on=(forgotten,))], fresh())


def test_a_failed_first_install_leaves_no_account_no_file_and_no_unit():
    host = fresh()
    host.answers["systemctl start"] = Result(1, "", "boom")
    with pytest.raises(TljhError, match=r"systemctl start hub\.service failed"):
        run(host)
    files, accounts, groups, units = state_of(host)
    assert accounts == {}
    assert groups == set()
    assert units["hub.service"] == ("inactive", False)
    assert Path("/opt/tljh/etc") not in files
    assert files[Path("/etc/old")][3] == b"old"


def without_the_hub():
    unit = Path("/etc/systemd/system/hub.service")
    return [*desired()[:6], Unit("hub.service", is_wanted=False), Absent(unit)]


def test_a_unit_that_is_not_wanted_stops_before_its_file_is_removed():
    host = fresh()
    run(host)
    run(host, without_the_hub())
    assert not host.unit("hub.service").is_active
    assert not host.unit("hub.service").is_enabled
    assert run(host, without_the_hub()) is None


def test_a_unit_that_was_stopped_runs_and_starts_at_boot_again_after_a_rollback():
    host = fresh()
    run(host)
    before = state_of(host)

    def sick():
        raise TljhError("the hub does not answer")

    with pytest.raises(TljhError):
        run(host, without_the_hub(), health=sick)
    assert state_of(host) == before


def effects_of_a_full_run() -> int:
    host = fresh()
    run(host)
    return len(host.effects)


@pytest.mark.parametrize("number", range(effects_of_a_full_run()))
def test_killed_before_any_effect_of_an_install_the_next_run_converges(number):
    whole = fresh()
    run(whole)
    host = fresh()
    host.die_before = number
    with pytest.raises(Killed):
        run(host)
    host.die_before = None
    run(host)
    assert state_of(host)[0] == state_of(whole)[0]
    assert state_of(host)[2:] == state_of(whole)[2:]
    assert run(host) is None


@pytest.mark.parametrize("number", range(effects_of_a_full_run()))
def test_a_full_disk_before_any_effect_is_rolled_back_or_finished(number):
    host = fresh()
    before = state_of(host)
    host.fail_before = number
    try:
        run(host)
    except (TljhError, OSError):
        recover(host, JOURNAL, SilentProgress())
        files, accounts, groups, units = state_of(host)
        files.pop(Path("/opt/tljh"), None)
        assert (files, accounts, groups) == before[:3]
        assert all(state == ("inactive", False) for state in units.values())
    run(host)
    assert run(host) is None


SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)


class SignalledHost(FakeHost):
    """A host that sends a signal to this process at one effect, or from then on at each."""

    effect_number: int
    number: signal.Signals
    is_repeated: bool

    def _record_effect(self, what: str) -> None:
        count = len(self.effects)
        if count == self.effect_number or (self.is_repeated and count > self.effect_number):
            os.kill(os.getpid(), self.number)
        super()._record_effect(what)


@pytest.mark.parametrize("is_repeated", [False, True], ids=["once", "at every later effect, too"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_at_any_effect_is_rolled_back_or_comes_too_late(number, is_repeated):
    whole = fresh()
    run(whole)
    outcomes = set()
    for effect_number in range(effects_of_a_full_run()):
        host = SignalledHost()
        host.effect_number, host.number, host.is_repeated = effect_number, number, is_repeated
        host.files[Path("/etc/old")] = (FileInfo("file", 0o644, "root", "root"), b"old")
        before = state_of(host)
        try:
            with raised_as_exceptions():
                run(host)
            assert state_of(host) == state_of(whole)
            outcomes.add("made")
        except (TljhError, KeyboardInterrupt) as error:
            if isinstance(error, TljhError):
                assert error.exit_code == 128 + number
                assert "every change was rolled back" in str(error)
            files, accounts, groups, units = state_of(host)
            files.pop(Path("/opt/tljh"), None)
            assert (files, accounts, groups) == before[:3]
            assert all(state == ("inactive", False) for state in units.values())
            outcomes.add("rolled back")
        assert not JOURNAL.is_pending(host)
    assert outcomes == {"made", "rolled back"}


class EndingStream(io.StringIO):
    """An output whose reader goes away after some writes."""

    def __init__(self, writes: int, error: int, *, is_terminal: bool) -> None:
        super().__init__()
        self._writes, self._error, self._is_terminal = writes, error, is_terminal

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, text: str) -> int:
        self._writes -= 1
        if self._writes < 0:
            raise OSError(self._error, os.strerror(self._error))
        return super().write(text)


@pytest.mark.parametrize("error", [errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF])
@pytest.mark.parametrize("is_terminal", [False, True], ids=["a pipe", "a terminal"])
def test_a_change_is_finished_and_a_rollback_too_whenever_its_output_ends(
    monkeypatch, error, is_terminal
):
    monkeypatch.setattr(progress_module, "WORTH_A_LINE_S", 0.0)
    whole = fresh()
    run(whole)

    def sick():
        raise TljhError("sick")

    for writes in (0, 1, 2, 5, 10, 20):
        for health in (lambda: None, sick):
            host = fresh()
            before = state_of(host)
            progress = choose_progress(EndingStream(writes, error, is_terminal=is_terminal))
            with pytest.raises(TljhError, match="sick") if health is sick else nullcontext():
                apply(
                    plan(desired(), host), host, JOURNAL, CONTEXT, progress=progress, health=health
                )
            assert not JOURNAL.is_pending(host)
            if health is sick:
                assert state_of(host)[1:3] == before[1:3]
            else:
                assert state_of(host) == state_of(whole)


class OccupiedHost(FakeHost):
    """The account of a service cannot be removed until the service of before runs again."""

    def remove_user(self, name: str) -> None:
        unit = Path("/etc/systemd/system/hub.service")
        if self.read(unit) != b"old" or "restart hub.service" not in self.effects[-1]:
            raise TljhError(f"user {name} is currently used by process 42")
        super().remove_user(name)


def test_what_a_replaced_service_holds_is_rolled_back_once_the_old_one_runs():
    host = OccupiedHost(files=fresh().files)
    unit = Path("/etc/systemd/system/hub.service")
    host.files[unit] = (FileInfo("file", 0o644, "root", "root"), b"old")
    host.systemctl("start", "hub.service")
    before = state_of(host)

    def sick():
        raise TljhError("the hub does not answer")

    with pytest.raises(TljhError, match="the hub does not answer"):
        run(host, health=sick)
    assert not JOURNAL.is_pending(host)
    assert state_of(host)[1:] == before[1:]


class UnluckyHost(FakeHost):
    """Its disk fails once, right after the effect with the number `unlucky`."""

    unlucky: int | None = None

    def __getattribute__(self, name):
        attribute = super().__getattribute__(name)
        if name not in ("write", "append", "rename", "remove", "mkdir", "symlink", "systemctl"):
            return attribute

        def call(*args, **kwargs):
            before = len(self.effects)
            result = attribute(*args, **kwargs)
            if self.unlucky is not None and before <= self.unlucky < len(self.effects):
                self.unlucky = None
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return result

        return call


@pytest.mark.parametrize("number", range(effects_of_a_full_run()))
def test_a_failure_after_any_effect_leaves_no_change_that_the_next_command_rolls_back(number):
    host = UnluckyHost(files=fresh().files)
    before = state_of(host)[0]
    host.unlucky = number
    try:
        kept = run(host)
    except (TljhError, OSError):
        kept = None
    if JOURNAL.is_pending(host):
        # Only the entry was opened: it has no effect yet.
        assert JOURNAL.intents(host) == []
    files = state_of(host)[0]
    if kept is None:
        files.pop(Path("/opt/tljh"), None)
        assert files == before
    else:
        assert JOURNAL.numbers(host) == [kept]
        assert run(host) is None


def test_a_rollback_that_is_killed_is_resumed_by_the_next_run():
    reference = fresh()
    run(reference)
    rollback_begins = len(reference.effects)

    def sick():
        raise TljhError("sick")

    probe = fresh()
    with pytest.raises(TljhError):
        run(probe, health=sick)
    for number in range(rollback_begins, len(probe.effects)):
        host = fresh()
        host.die_before = number
        with pytest.raises(Killed):
            run(host, health=sick)
        host.die_before = None
        run(host)
        assert state_of(host)[0] == state_of(reference)[0]


def test_history_keeps_the_first_state_and_a_limited_number_of_others():
    host = fresh()
    for number in range(60):
        run(host, desired(str(number).encode()))
    numbers = JOURNAL.numbers(host)
    assert numbers[0] == 1
    assert numbers[-1] == 60
    assert len(numbers) == 50


def test_before_images_are_readable_by_root_only():
    host = fresh()
    run(host, [*desired(), File(Path("/opt/tljh/secret"), b"x", mode=0o600, secret=True)])
    for path, (info, _) in host.files.items():
        if path == JOURNAL.directory or JOURNAL.directory in path.parents:
            assert info.mode & 0o077 == 0, path


def test_a_secret_stays_out_of_the_plan():
    host = fresh()
    secret = File(Path("/opt/secret"), b"hunter2", mode=0o600, secret=True)
    run(host, [secret])
    printed = plan([replace(secret, data=b"hunter3")], host)
    assert "hunter" not in printed.as_text() + str(printed.as_json())
