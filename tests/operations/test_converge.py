"""A whole hub on a machine in memory: installs, reloads, refused changes, kills, rollbacks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.base.well_known import INSTANCE_HEADER
from tljh.engine.journal import Journal
from tljh.host.fake import FakeHost, Killed
from tljh.host.interface import FileInfo, Response, Result
from tljh.operations.converge import Request, converge, work_out
from tljh.operations.install_and_reload import make_install_request, make_reload_request
from tljh.operations.install_answers import InstallAnswers, read_answers
from tljh.plugins.selection import parse_selection
from tljh.users.claims import make_claim, read_claim

PATHS = Paths()
ENVIRONMENT = Path("/opt/tljh/versions/hub-0123456789ab")
ANSWERS = InstallAnswers(hub_environment=ENVIRONMENT, admins=("ada",))


def machine() -> FakeHost:
    """Return a fresh machine; its hub answers with its mark while its unit runs."""
    host = FakeHost()

    def answer() -> Response:
        instance = (host.read(PATHS.state_dir / "instance") or b"").decode().strip()
        runs = host.unit("jupyterhub.service").is_active and host.unit("traefik.service").is_active
        if not runs:
            return Response(0, "ConnectionError: refused")
        return Response(200, "ok", {INSTANCE_HEADER: instance})

    for base in ("/", "/hub2/"):
        host.responses[f"http://127.0.0.1:15001{base}hub/health"] = answer
        host.responses[f"http://127.0.0.1:80{base}hub/login"] = answer
    return host


@pytest.fixture(autouse=True)
def no_conda(monkeypatch):
    """Leave out the user environment: it needs a real disk, and has its own tests."""
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])


def install(host: FakeHost, answers: InstallAnswers = ANSWERS):
    request = make_install_request(host, PATHS, answers)
    return converge(host, PATHS, request, SilentProgress())


def reload(host: FakeHost, data: bytes | None = None, **options):
    data = host.read(PATHS.config_file) if data is None else data
    host.files[PATHS.config_file] = (host.files[PATHS.config_file][0], data)
    return converge(host, PATHS, Request("reload", **options), SilentProgress())


def units_acted_on(host: FakeHost, since: int) -> list[str]:
    return [
        effect
        for effect in host.effects[since:]
        if effect.startswith(("systemctl start", "systemctl restart", "systemctl reload"))
    ]


def effects_of_an_install() -> int:
    host = machine()
    with pytest.MonkeyPatch.context() as patch:
        conda = "tljh.conda.resources.resources"
        patch.setattr(conda, lambda *_, **__: [])
        install(host)
    return len(host.effects)


def test_an_install_ends_with_a_running_hub_and_a_claim_for_its_admin():
    host = machine()
    assert install(host).number == 1
    assert host.unit("jupyterhub.service").is_active
    assert host.unit("jupyterhub.service").is_enabled
    assert host.readlink(PATHS.hub) == "versions/hub-0123456789ab"
    claim = json.loads(host.read(PATHS.state_dir / "claims" / "ada.json") or b"")
    assert claim["login"] == "ada"
    assert len(claim["token"]) >= 32


def test_a_second_install_changes_nothing():
    host = machine()
    install(host)
    before = dict(host.files)
    effects = len(host.effects)
    assert install(host).number is None
    assert host.files == before
    assert len(host.effects) == effects


def test_another_admin_is_added_and_none_is_replaced():
    host = machine()
    install(host)
    outcome = install(host, InstallAnswers(hub_environment=ENVIRONMENT, admins=("bob",)))
    assert outcome.config.users.admin == ["ada", "bob"]


def test_an_admin_written_with_capitals_can_open_the_claim():
    host = machine()
    install(
        host, read_answers(json.dumps({"hub_environment": str(ENVIRONMENT), "admins": ["Ada"]}))
    )
    claim = read_claim(host.read(PATHS.state_dir / "claims" / "ada.json") or b"")
    assert claim is not None
    assert claim.login == "ada"


def test_an_install_after_the_claim_expired_makes_one_that_opens_and_a_reload_does_not():
    host = machine()
    install(host)
    path = PATHS.state_dir / "claims" / "ada.json"
    old = make_claim("ada", datetime(2020, 1, 1, tzinfo=timezone.utc)).as_bytes()
    host.write(path, old, mode=0o600)
    assert reload(host).number is None
    assert host.read(path) == old
    install(host)
    claim = read_claim(host.read(path) or b"")
    assert claim is not None
    assert claim.is_valid(datetime.now(timezone.utc))


def test_planning_a_first_install_leaves_nothing_behind():
    host = machine()
    before = dict(host.files)
    outcome = work_out(host, PATHS, make_install_request(host, PATHS, ANSWERS))
    assert outcome.plan
    assert host.files == before
    assert host.effects == []


def test_every_secret_is_readable_by_root_only_and_absent_from_the_plan():
    host = machine()
    outcome = install(host)
    token = json.loads(host.read(PATHS.state_dir / "claims" / "ada.json") or b"")["token"]
    secret = (host.read(PATHS.state_dir / "traefik-api.secret") or b"").decode().strip()
    for path in (PATHS.config_file, *(p for p in host.files if PATHS.state_dir in p.parents)):
        assert host.files[path][0].mode & 0o077 == 0, path
    for printed in (outcome.plan.as_text(), json.dumps(outcome.plan.as_json())):
        assert token not in printed
        assert secret not in printed


@pytest.mark.parametrize("number", range(effects_of_an_install()))
def test_killed_before_any_effect_the_next_install_converges(number):
    host = machine()
    host.die_before = number
    with pytest.raises(Killed):
        install(host)
    host.die_before = None
    install(host)
    assert install(host).number is None
    assert Journal(PATHS.journal_dir).numbers(host) == [1]
    assert host.unit("jupyterhub.service").is_active


def test_a_change_of_a_timeout_leaves_the_proxy_alone():
    host = machine()
    install(host)
    since = len(host.effects)
    reload(host, b"users: {admin: [ada]}\nservices: {cull: {timeout: 60}}\n")
    assert units_acted_on(host, since) == ["systemctl restart jupyterhub.service"]


def test_a_change_of_limits_restarts_nothing():
    host = machine()
    install(host)
    since = len(host.effects)
    reload(host, b"users: {admin: [ada]}\nlimits: {memory: 2G}\n")
    assert units_acted_on(host, since) == []
    applied = json.loads(host.read(PATHS.applied.limits))
    assert applied["limits"] == {"memory": "2G"}


def test_a_change_of_the_port_hands_the_proxy_over_and_restarts_the_hub_for_its_own_address():
    host = machine()
    install(host)
    host.responses["http://127.0.0.1:8080/hub/login"] = host.responses[
        "http://127.0.0.1:80/hub/login"
    ]
    since = len(host.effects)
    reload(host, b"users: {admin: [ada]}\nhttp: {port: 8080}\n")
    assert "systemctl reload traefik.service" in units_acted_on(host, since)
    assert "systemctl restart traefik.service" not in units_acted_on(host, since)


def test_another_hub_environment_restarts_the_hub_and_hands_the_proxy_over():
    host = machine()
    install(host)
    environment = ENVIRONMENT.with_name("hub-ba9876543210")
    host.answers[f"{environment}/bin/python -I -m tljh.plugins.manager"] = Result(0, "{}")
    since = len(host.effects)
    install(host, replace(ANSWERS, hub_environment=environment))
    assert units_acted_on(host, since) == [
        "systemctl reload traefik.service",
        "systemctl restart jupyterhub.service",
    ]


def test_a_comment_in_the_configuration_restarts_nothing():
    host = machine()
    install(host)
    since = len(host.effects)
    reload(host, b"# a remark\nusers: {admin: [ada]}\n")
    assert units_acted_on(host, since) == []


def test_an_invalid_configuration_is_refused_with_its_line_and_nothing_changes():
    host = machine()
    install(host)
    data = b"users: {admin: [ada]}\nlimits:\n  memroy: 2G\n"
    since = len(host.effects)
    with pytest.raises(TljhError, match="memroy") as caught:
        reload(host, data)
    (finding,) = caught.value.findings
    assert finding.where
    assert finding.where.line == 3
    assert host.effects[since:] == []


def test_a_configuration_that_the_hub_cannot_load_is_refused_before_anything_changes():
    host = machine()
    install(host)
    finding = Finding("no such class", fix="correct it").as_json()
    host.answers["systemd-run"] = Result(1, json.dumps({"errors": [finding]}), "")
    before = dict(host.files)
    with pytest.raises(TljhError, match="no such class"):
        reload(host, b"users: {admin: [ada]}\nservices: {cull: {timeout: 60}}\n")
    changed = {path for path in host.files if host.files[path] != before.get(path)}
    assert changed <= {PATHS.config_file}


MISTAKE = Finding("plugin course hangs in tljh_custom_jupyterhub_config", fix="correct it")


def add_plugin(host: FakeHost, environment: Path, **contributed: object) -> None:
    """Install the plugin `course` in a hub environment, with what it answers when it is asked."""
    metadata = environment / "lib/python3.13/site-packages/tljh_course-1.0.dist-info"
    for directory in [*reversed(metadata.parents), metadata]:
        host.mkdir(directory, mode=0o755)
    host.write(metadata / "entry_points.txt", b"[tljh]\ncourse = tljh_course\n", mode=0o644)
    answer = json.dumps({"warnings": [], **contributed})
    host.answers[f"{environment}/bin/python -I -m tljh.plugins.inspection"] = Result(0, answer)


def machine_with_a_plugin(*mistakes: str) -> FakeHost:
    """Return a machine whose hub environment has the plugin `course`.

    A trial of a configuration that loads it finds `MISTAKE`, if `mistakes` names it.
    """
    host = machine()
    add_plugin(host, ENVIRONMENT)

    def try_candidate(argv):
        (applied,) = (word.partition("=")[2] for word in argv if "TLJH_APPLIED=" in word)
        applied = applied.partition("=")[2]
        selection = parse_selection(host.read(Path(applied) / "plugins.json"))
        failures = {name: MISTAKE.as_json() for name in mistakes if name not in selection.left_out}
        return Result(0, json.dumps({"errors": [], "ignored": [], "failures": failures}))

    host.answers["systemd-run"] = try_candidate
    return host


@pytest.fixture
def in_the_hub_environment(monkeypatch):
    monkeypatch.setattr("sys.prefix", str(ENVIRONMENT))


@pytest.mark.usefixtures("in_the_hub_environment")
def test_a_plugin_that_fails_in_the_trial_is_named_and_the_hub_goes_on_without_it():
    host = machine_with_a_plugin("course")
    assert MISTAKE in install(host).warnings
    selection = parse_selection(host.read(PATHS.applied.plugins))
    assert selection.left_out == {"course": MISTAKE}
    assert host.unit("jupyterhub.service").is_active
    again = reload(host)
    assert again.number is None
    assert MISTAKE in again.warnings
    assert MISTAKE.what in " ".join(again.plan.notes)


@pytest.mark.usefixtures("in_the_hub_environment")
def test_a_plugin_that_was_left_out_is_tried_again_with_another_configuration():
    host = machine_with_a_plugin("course")
    install(host)
    corrected = machine_with_a_plugin()
    host.answers["systemd-run"] = corrected.answers["systemd-run"]
    corrected.files = host.files
    outcome = reload(host, b"users: {admin: [ada]}\nservices: {cull: {timeout: 60}}\n")
    assert MISTAKE not in outcome.warnings
    assert parse_selection(host.read(PATHS.applied.plugins)).left_out == {}


@pytest.mark.usefixtures("in_the_hub_environment")
def test_a_plugin_that_chose_the_login_refuses_the_change_where_it_fails():
    host = machine_with_a_plugin("course")
    install(host)
    host.write(PATHS.login_plugins, b'["course"]', mode=0o600)
    since = len(host.effects)
    with pytest.raises(TljhError, match="plugin course hangs"):
        reload(host, b"users: {admin: [ada]}\nservices: {cull: {timeout: 60}}\n")
    assert units_acted_on(host, since) == []


@pytest.mark.usefixtures("in_the_hub_environment")
def test_a_required_plugin_that_fails_refuses_the_change_and_the_hub_stays():
    host = machine_with_a_plugin("course")
    install(host)
    since = len(host.effects)
    with pytest.raises(TljhError, match="plugin course hangs"):
        reload(host, b"users: {admin: [ada]}\nplugins: {required: [course]}\n")
    assert units_acted_on(host, since) == []


def test_a_required_plugin_that_is_not_installed_refuses_the_change():
    host = machine()
    install(host)
    with pytest.raises(TljhError, match="names course, which is not installed"):
        reload(host, b"users: {admin: [ada]}\nplugins: {required: [course]}\n")


def test_a_hub_that_does_not_answer_is_rolled_back_and_the_old_one_serves():
    host = machine()
    install(host)
    applied = host.read(PATHS.applied.hub_file)
    sound = host.responses["http://127.0.0.1:15001/hub/health"]

    def sick_with_new() -> Response:
        is_old = host.read(PATHS.applied.hub_file) == applied
        return sound() if is_old else Response(0, "ConnectionError: refused")

    host.responses["http://127.0.0.1:15001/hub/health"] = sick_with_new
    data = b"users: {admin: [ada]}\nservices: {cull: {timeout: 60}}\n"
    with pytest.raises(TljhError, match="does not answer") as caught:
        reload(host, data, health_deadline_s=3)
    assert "last lines of jupyterhub" in str(caught.value)
    assert host.read(PATHS.applied.hub_file) == applied
    assert host.unit("jupyterhub.service").is_active
    # The admin's edit stays, so that it can be corrected.
    assert host.read(PATHS.config_file) == data


def test_a_rollback_restores_the_drop_ins_of_its_state():
    host = machine()
    install(host)
    drop_in = PATHS.hub_drop_ins / "mine.py"
    host.write(drop_in, b"c.Spawner.debug = True\n", mode=0o600)
    assert reload(host).number == 2
    entry = Journal(PATHS.journal_dir).entry(host, 1)
    request = Request("rollback 1", files=entry.files)
    converge(host, PATHS, request, SilentProgress())
    assert host.read(drop_in) is None
    assert host.read(PATHS.applied.drop_ins / "mine.py") is None
    entry = Journal(PATHS.journal_dir).entry(host, 2)
    request = Request("rollback 2", files=entry.files)
    converge(host, PATHS, request, SilentProgress())
    assert host.read(drop_in) == b"c.Spawner.debug = True\n"


def test_all_files_next_to_a_drop_in_belong_to_the_state():
    host = machine()
    install(host)
    own, applied = PATHS.hub_drop_ins, PATHS.applied.drop_ins
    host.mkdir(own / "templates", mode=0o700)
    host.mkdir(own / "__pycache__", mode=0o700)
    files = {"a.py": b"c.a\n", "teachers.txt": b"ann\n", "templates/page.html": b"<p>"}
    backups = dict.fromkeys(("a.py~", ".a.py.swp", "#a.py#", "__pycache__/a.pyc"), b"x")
    for name, data in {**files, **backups, "hook.sh": b"#!/bin/sh\n"}.items():
        host.write(own / name, data, mode=0o600)
    host.symlink(own / "whole", "/")
    assert reload(host).number == 2
    for name, data in files.items():
        assert host.read(applied / name) == data
    assert [name for name in (*backups, "whole") if host.info(applied / name)] == []
    assert host.files[applied / "hook.sh"][0].mode == 0o700
    host.write(own / "teachers.txt", b"ann\nbob\n", mode=0o600)
    assert "file /opt/tljh/state/applied/jupyterhub_config.d/teachers.txt" in str(
        [step.resource.key for step in work_out(host, PATHS, Request("plan")).plan.steps]
    )
    assert reload(host).number == 3
    for number, content in ((1, None), (2, b"ann\n"), (3, b"ann\nbob\n")):
        entry = Journal(PATHS.journal_dir).entry(host, number)
        converge(host, PATHS, Request("rollback", files=entry.files), SilentProgress())
        assert host.read(own / "teachers.txt") == content
        assert host.read(applied / "teachers.txt") == content
        assert (host.read(applied / "templates" / "page.html") is None) == (number == 1)


@pytest.mark.parametrize(("size", "match"), [(5 << 20, "big.csv is too large"), (1, "d is too")])
def test_too_much_data_next_to_a_drop_in_is_refused_with_its_name(size, match):
    host = machine()
    install(host)
    host.write(PATHS.hub_drop_ins / "big.csv", b"x" * size, mode=0o600)
    for number in range(1001 if size == 1 else 0):
        host.write(PATHS.hub_drop_ins / f"{number}.txt", b"", mode=0o600)
    with pytest.raises(TljhError, match=match):
        work_out(host, PATHS, Request("plan"))


def test_a_hand_edited_rendered_file_shows_in_the_plan():
    host = machine()
    install(host)
    unit = PATHS.units_dir / "jupyterhub.service"
    host.write(unit, (host.read(unit) or b"") + b"# by hand\n", mode=0o644)
    outcome = work_out(host, PATHS, Request("plan"))
    assert "-# by hand" in outcome.plan.as_text()


def test_an_edit_during_a_reload_is_not_overwritten():
    host = machine()
    install(host)
    newer = b"users: {admin: [ada]}\nlimits: {memory: 4G}\n"
    sound = host.responses["http://127.0.0.1:15001/hub/health"]

    def edited_meanwhile() -> Response:
        host.write(PATHS.config_file, newer, mode=0o600)
        return sound()

    host.responses["http://127.0.0.1:15001/hub/health"] = edited_meanwhile
    reload(host, b"users: {admin: [ada]}\nlimits: {memory: 2G}\n")
    assert host.read(PATHS.config_file) == newer


def test_a_configuration_that_other_users_can_read_is_closed_without_a_write():
    host = machine()
    install(host)
    info, data = host.files[PATHS.config_file]
    host.chmod(PATHS.config_file, mode=0o644, owner="root", group="root")
    since = len(host.effects)
    reload(host)
    assert host.files[PATHS.config_file] == (info, data)
    assert f"write {PATHS.config_file}" not in host.effects[since:]


def test_the_packages_of_an_added_plugin_are_installed_by_the_same_reload():
    host = machine()
    install(host)
    rebuilt = Path("/opt/tljh/versions/hub-new")
    stamp = json.dumps({"wanted": {"specs": []}}).encode()
    for directory in (ENVIRONMENT, ENVIRONMENT / "share", ENVIRONMENT / "share/tljh"):
        host.mkdir(directory, mode=0o755)
    host.write(ENVIRONMENT / "share/tljh/environment.json", stamp, mode=0o644)
    # The fake machine resolves links of files, not of directories on the way.
    for directory in (PATHS.hub / "share", PATHS.hub / "share/tljh"):
        host.files[directory] = host.files[ENVIRONMENT]
    host.files[PATHS.hub / "share/tljh/environment.json"] = host.files[
        ENVIRONMENT / "share/tljh/environment.json"
    ]
    built = json.dumps({"environment": str(rebuilt), "built": True, "packages": 97})
    host.answers[f"{PATHS.hub}/bin/python {PATHS.hub}/share/tljh/bootstrap.py"] = Result(0, built)
    add_plugin(host, rebuilt, apt_packages=["sl"])
    reload(host, b"users: {admin: [ada]}\nplugins: {packages: [tljh-sl]}\n")
    assert host.package("sl") == "1"
    assert host.readlink(PATHS.hub) == "versions/hub-new"


class WrittenBetween(FakeHost):
    """A machine on which another process changes config.yaml right after each read."""

    def read(self, path: Path) -> bytes | None:
        data = super().read(path)
        if path == PATHS.config_file and data is not None:
            info, _ = self.files[path]
            self.files[path] = (info, data + b"# set meanwhile\n")
        return data


def test_an_edit_between_two_reads_of_the_configuration_is_not_overwritten():
    host = machine()
    install(host)
    host.__class__ = WrittenBetween
    converge(host, PATHS, Request("reload"), SilentProgress())
    _, data = host.files[PATHS.config_file]
    assert data.endswith(b"# set meanwhile\n")


def test_a_configuration_behind_a_link_is_left_there_and_a_second_reload_changes_nothing():
    host = machine()
    install(host)
    place = Path("/etc/hub.yaml")
    info, data = host.files[PATHS.config_file]
    host.files[place] = (replace(info, mode=0o644), data)
    host.symlink(PATHS.config_file, str(place))
    reload_current = Request("reload")
    converge(host, PATHS, reload_current, SilentProgress())
    assert host.files[place][0].mode == 0o600
    assert not converge(host, PATHS, reload_current, SilentProgress()).plan
    rolled_back(host, 1)
    install(host, InstallAnswers(hub_environment=ENVIRONMENT, admins=("bob",)))
    assert host.readlink(PATHS.config_file) == str(place)
    assert b"bob" in (host.read(place) or b"")


def rolled_back(host: FakeHost, number: int):
    """Apply a state of the history, as `tljh-config rollback N` does."""
    files = Journal(PATHS.journal_dir).entry(host, number).files
    request = Request(
        f"rollback {number}", configuration=lambda _: files["config.yaml"], files=files
    )
    return converge(host, PATHS, request, SilentProgress())


def write(host: FakeHost, path: Path, data: bytes) -> None:
    host.files[path] = (FileInfo("file", 0o600, "root", "root"), data)


def with_two_states() -> FakeHost:
    """Return a machine with two states in its history; the current one has a drop-in."""
    host = machine()
    install(host)
    write(host, PATHS.hub_drop_ins / "mine.py", b"c.Spawner.debug = True\n")
    reload(host, b"users: {admin: [ada]}\nlimits: {memory: 2G}\n")
    return host


def effects_of_a_rollback() -> int:
    with pytest.MonkeyPatch.context() as patch:
        conda = "tljh.conda.resources.resources"
        patch.setattr(conda, lambda *_, **__: [])
        host = with_two_states()
        before = len(host.effects)
        rolled_back(host, 1)
    return len(host.effects) - before


@pytest.mark.parametrize("number", range(effects_of_a_rollback()))
def test_what_is_written_after_a_killed_rollback_is_not_overwritten_by_its_recovery(number):
    host = with_two_states()
    host.die_before = len(host.effects) + number
    with pytest.raises(Killed):
        rolled_back(host, 1)
    host.die_before = None
    drop_in = PATHS.hub_drop_ins / "mine.py"
    edited = (host.read(PATHS.config_file) or b"") + b"# edited\n"
    write(host, PATHS.config_file, edited)
    write(host, drop_in, b"c.Spawner.debug = False\n")
    converge(host, PATHS, Request("reload"), SilentProgress())
    assert host.read(PATHS.config_file) == edited
    assert host.read(drop_in) == b"c.Spawner.debug = False\n"


@pytest.mark.parametrize("number", range(effects_of_a_rollback()))
def test_recovery_restores_what_a_killed_rollback_replaced_unless_it_was_edited(number):
    host = with_two_states()
    before = {path: host.read(path) for path in (PATHS.config_file, PATHS.hub_drop_ins / "mine.py")}
    host.die_before = len(host.effects) + number
    with pytest.raises(Killed):
        rolled_back(host, 1)
    host.die_before = None
    if Journal(PATHS.journal_dir).is_pending(host):
        converge(host, PATHS, Request("reload"), SilentProgress())
        assert {path: host.read(path) for path in before} == before


def test_a_rollback_waits_for_an_edit_of_the_configuration():
    host = with_two_states()
    host.die_before = len(host.effects) + 8
    with pytest.raises(Killed):
        rolled_back(host, 1)
    host.die_before = None
    with (
        host.lock(PATHS.config_dir / ".config.yaml.lock", timeout_s=0),
        pytest.raises(TljhError, match="at work"),
    ):
        converge(host, PATHS, Request("reload"), SilentProgress())
    assert Journal(PATHS.journal_dir).is_pending(host)


def test_a_restart_that_was_asked_for_is_refused_when_the_hub_could_not_start_again():
    host = machine()
    install(host)
    finding = Finding("no such class", fix="correct it").as_json()
    host.answers["systemd-run"] = Result(1, json.dumps({"errors": [finding]}), "")
    since = len(host.effects)
    with pytest.raises(TljhError, match="no such class"):
        request = make_reload_request(host, PATHS, "reload", force=frozenset({"hub"}))
        converge(host, PATHS, request, SilentProgress())
    assert units_acted_on(host, since) == []


def test_a_rollback_keeps_what_was_written_and_never_applied_as_a_state():
    host = with_two_states()
    written = b"users: {admin: [ada, eve]}  # an hour of work\n"
    write(host, PATHS.config_file, written)
    write(host, PATHS.hub_drop_ins / "other.py", b"# so far\n")
    outcome = rolled_back(host, 1)
    assert (outcome.kept, outcome.number) == (3, 4)
    assert b"eve" not in (host.read(PATHS.config_file) or b"")
    rolled_back(host, 3)
    assert host.read(PATHS.config_file) == written
    assert host.read(PATHS.hub_drop_ins / "other.py") == b"# so far\n"
    assert host.read(PATHS.hub_drop_ins / "mine.py") == b"c.Spawner.debug = True\n"


def test_a_rollback_of_what_the_history_has_keeps_no_further_state():
    host = with_two_states()
    outcome = rolled_back(host, 1)
    assert (outcome.kept, outcome.number) == (None, 3)
    assert Journal(PATHS.journal_dir).numbers(host) == [1, 2, 3]


@pytest.mark.parametrize("number", range(effects_of_a_rollback() + 3))
def test_a_rollback_that_is_killed_anywhere_loses_nothing_that_was_written(number):
    host = with_two_states()
    written = b"users: {admin: [ada, eve]}\n"
    write(host, PATHS.config_file, written)
    host.die_before = len(host.effects) + number
    with pytest.raises(Killed):
        rolled_back(host, 1)
    host.die_before = None
    journal = Journal(PATHS.journal_dir)
    last = journal.entry(host, journal.numbers(host)[-1]).files["config.yaml"]
    assert last != written, "the last state must be one that was applied"
    reload(host)
    if host.read(PATHS.config_file) != written:
        reload(host, b"users: {admin: [ada, bob]}\n")
        assert written in [entry.files["config.yaml"] for entry in journal.entries(host)]


def test_a_configuration_from_which_nothing_follows_is_a_state_of_the_history_too():
    host = machine()
    install(host)
    data = (host.read(PATHS.config_file) or b"") + b"# edited\n"
    since = len(host.effects)
    outcome = reload(host, data)
    assert not outcome.plan
    assert outcome.number == 2
    assert units_acted_on(host, since) == []
    assert Journal(PATHS.journal_dir).entry(host, 2).files["config.yaml"] == data
    assert reload(host, data).number is None


def test_a_lost_configuration_is_reported_and_restored_by_a_rollback():
    host = machine()
    install(host)
    data = host.read(PATHS.config_file)
    del host.files[PATHS.config_file]
    with pytest.raises(TljhError, match=r"config\.yaml is missing") as refused:
        work_out(host, PATHS, Request("reload"))
    assert refused.value.findings[0].fix.endswith("sudo tljh-config rollback 1")
    with pytest.raises(TljhError, match=r"config\.yaml is missing"):
        install(host)
    rolled_back(host, 1)
    assert host.read(PATHS.config_file) == data


def test_a_reload_reports_mistakes_of_settings_and_of_their_files_at_once_with_lines():
    host = machine()
    install(host)
    data = (
        b"users: {admin: [ada]}\nhttps:\n  enabled: true\n  tls:\n"
        b"    cert: /none.crt\n    key: /none.key\nlimits: {memory: banana}\n"
    )
    with pytest.raises(TljhError) as caught:
        reload(host, data)
    findings = caught.value.findings
    assert [finding.where.line for finding in findings if finding.where] == [5, 6, 7]
    assert findings[0].what == "https.tls.cert names a file that does not exist: /none.crt"


def test_files_of_an_https_mode_that_is_off_stop_no_reload():
    host = machine()
    install(host)
    data = b"users: {admin: [ada]}\nhttps: {tls: {cert: /none.crt, key: /none.key}}\n"
    assert reload(host, data).number == 2


def test_plan_and_history_name_settings_in_units_for_people():
    host = machine()
    install(host)
    data = b"users: {admin: [ada]}\nlimits: {memory: 512M}\nauth: {session_days: 1}\n"
    text = reload(host, data).plan.as_text()
    assert "setting limits.memory  auto -> 512M" in text
    assert "setting auth.session_days  7 -> 1" in text
    assert "the hub restarts; servers keep running" in text
    # hub.json, which has the same change, names the trait; its secrets stay out.
    assert "JupyterHub.cookie_max_age_days  7 -> 1" in text
    (*_, last) = Journal(PATHS.journal_dir).entries(host)
    assert last.changes[0].startswith("limits.memory  auto -> 512M")
    assert "auth.session_days  7 -> 1" in last.changes


def test_no_plan_of_an_installation_has_a_number_of_bytes():
    host = machine()
    outcome = work_out(host, PATHS, make_install_request(host, PATHS, ANSWERS))
    assert not re.search(r"\b\d{6,}\b", outcome.plan.as_text())
