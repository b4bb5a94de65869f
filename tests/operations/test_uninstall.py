"""Uninstalling: the machine is as it was before the installation, whenever a run was killed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.operations.test_converge import PATHS, install, machine, reload
from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.host.accounts import Account, ensure_account
from tljh.host.fake import FakeHost, Killed
from tljh.host.interface import FileInfo, UnitInfo
from tljh.machine_logins.session_limits import write_limits
from tljh.operations.uninstall import plan_uninstall, uninstall
from tljh.plugins.written_files import Written, add_written, compute_digest

ADMINS_FILE = PATHS.needrestart


@pytest.fixture(autouse=True)
def no_conda(monkeypatch):
    """Leave out the user environment: it needs a real disk, and has its own tests."""
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])


def state(host: FakeHost) -> dict[str, object]:
    """Return what an uninstall restores; empty parent directories stay in the fake host."""
    return {
        "files": {
            str(path): entry
            for path, entry in host.files.items()
            if entry[0].kind != "directory" and not path.is_relative_to(PATHS.backups)
        },
        "prefix": [path for path in host.files if path.is_relative_to(PATHS.prefix)],
        "accounts": dict(host.accounts),
        "groups": dict(host.group_entries),
        "units": {
            name: (unit.active, unit.enabled)
            for name, unit in ((name, host.unit(name)) for name in host.unit_states)
            if unit.is_active or unit.is_enabled
        },
    }


def prepared_machine() -> FakeHost:
    """Return a fresh machine with a file that the installation replaces."""
    host = machine()
    host.files[ADMINS_FILE] = (FileInfo("file", 0o600, "root", "root", 12), b"of the admin")
    return host


def remove(host: FakeHost, *, purge: bool = False):
    return uninstall(host, PATHS, SilentProgress(), purge=purge)


def archives(host: FakeHost) -> list[Path]:
    return [path for path in host.files if path.parent == PATHS.backups]


def test_an_uninstall_restores_the_machine_and_keeps_a_private_copy_of_what_admins_wrote():
    host = prepared_machine()
    before = state(host)
    install(host)
    assert host.files[ADMINS_FILE][1] != b"of the admin"
    removed = remove(host)
    assert state(host) == before
    [archive] = archives(host)
    assert host.files[archive][0].mode == 0o600
    assert host.files[PATHS.backups][0].mode == 0o700
    assert any(str(archive) in line for line in removed.stays)
    assert any("Debian packages" in line for line in removed.stays)


def test_a_second_uninstall_says_that_nothing_is_installed():
    host = prepared_machine()
    install(host)
    remove(host, purge=True)
    with pytest.raises(TljhError, match="there is no hub installed"):
        remove(host)


def test_what_a_later_change_made_goes_too_although_the_journal_dropped_its_entry(monkeypatch):
    monkeypatch.setattr("tljh.engine.journal.KEPT_ENTRIES", 2)
    host = prepared_machine()
    before = state(host)
    install(host)
    reload(host, b"https:\n  mode: internal\nusers:\n  admin: [ada]\n")
    for seconds in (61, 62, 63):
        text = f"users:\n  admin: [ada]\nproxy:\n  drain_timeout_s: {seconds}\n"
        reload(host, text.encode())
    remove(host)
    assert state(host) == before


def test_limits_that_the_hub_wrote_and_files_that_plugins_wrote_go_too():
    host = prepared_machine()
    before = state(host)
    install(host)
    write_limits(host, PATHS.session_limits(1001), "[Slice]\n")
    cron, edited = PATHS.units_dir / "course.timer", PATHS.units_dir / "edited.timer"
    for path in (cron, edited):
        host.write(path, b"# of a plugin\n", mode=0o644)
    digests = {str(path): compute_digest(host, path) for path in (cron, edited)}
    add_written(host, PATHS, {"course": Written(digests)})
    host.write(edited, b"# of the admin\n", mode=0o644)
    remove(host)
    assert host.read(edited) == b"# of the admin\n"
    host.remove(edited)
    assert state(host) == before


def test_an_uninstall_works_after_the_prefix_was_deleted_by_hand():
    host = prepared_machine()
    before = state(host)
    install(host)
    host.remove(PATHS.prefix)
    remove(host)
    assert state(host) == before


def test_accounts_and_homes_stay_unless_they_are_purged():
    host = prepared_machine()
    before = state(host)
    install(host)
    host.mkdir(Path("/home"), mode=0o755)
    host.mkdir(Path("/home/jupyter-bob"), mode=0o700, owner="jupyter-bob")
    ensure_account(host, Account(login="bob", name="jupyter-bob"))
    account = host.user("jupyter-bob")
    assert account is not None
    kept = remove(host)
    assert host.user("jupyter-bob") is not None
    assert any("1 account" in line for line in kept.stays)
    install(host)
    remove(host, purge=True)
    assert host.user("jupyter-bob") is None
    assert not any(str(path).startswith("/home/jupyter-bob") for path in host.files)
    assert state(host)["units"] == before["units"]


def test_servers_of_users_end_before_their_environment_goes():
    host = prepared_machine()
    install(host)
    server = UnitInfo("jupyter-bob.service", "loaded", "active", "running", "transient")
    host.unit_states[server.name] = server
    steps = [step.title for step in plan_uninstall(host, PATHS, purge=False).plan.steps]
    assert steps[0] == "units jupyter-*.service"
    assert steps.index("tree /opt/tljh") > steps.index("unit jupyterhub.service")
    remove(host)
    assert not host.unit(server.name).is_active


def test_a_plan_changes_nothing():
    host = prepared_machine()
    install(host)
    effects = len(host.effects)
    assert plan_uninstall(host, PATHS, purge=True).plan.steps
    assert len(host.effects) == effects


def count_effects() -> int:
    host = prepared_machine()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])
        install(host)
        begin = len(host.effects)
        remove(host)
    return len(host.effects) - begin


@pytest.mark.parametrize("number", range(count_effects()))
@pytest.mark.parametrize("stop", ["killed", "disk full"])
def test_stopped_before_any_effect_the_next_uninstall_finishes(number, stop):
    host = prepared_machine()
    before = state(host)
    install(host)
    if stop == "killed":
        host.die_before = len(host.effects) + number
        with pytest.raises(Killed):
            remove(host)
        host.die_before = None
    else:
        host.fail_before = len(host.effects) + number
        with pytest.raises((TljhError, OSError)):
            remove(host)
    if host.info(PATHS.prefix) or host.info(PATHS.manifest):
        remove(host)
    assert state(host) == before


@pytest.mark.parametrize("number", range(0, count_effects(), 3))
def test_killed_before_an_effect_an_installation_brings_the_hub_back(number):
    host = prepared_machine()
    install(host)
    after_install = replace(host).unit("jupyterhub.service")
    host.die_before = len(host.effects) + number
    with pytest.raises(Killed):
        remove(host)
    host.die_before = None
    install(host)
    assert host.unit("jupyterhub.service").is_active == after_install.is_active
