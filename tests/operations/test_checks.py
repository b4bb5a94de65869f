"""Checks of `tljh status` and `tljh doctor`, on machines in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.operations.test_converge import PATHS, install, machine
from tljh.base.findings import Severity
from tljh.engine.journal import Journal
from tljh.host.interface import Response, Result
from tljh.operations import user_hosts
from tljh.operations.checks import examine_machine, find_worst, list_checks, run_checks
from tljh.operations.user_hosts import find_unused_wildcard
from tljh.users.claims import make_claim


@pytest.fixture(autouse=True)
def no_conda(monkeypatch):
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])


@pytest.fixture
def host(monkeypatch):
    host = machine()
    install(host)
    python = PATHS.prefix / "versions/hub-0123456789ab/bin/python"
    for directory in (python.parent.parent, python.parent):
        host.mkdir(directory, mode=0o755)
    host.write(python, b"", mode=0o755)
    monkeypatch.setattr("tljh.users.facts.read_logins", lambda path: ["ada"])
    return host


def reported(host, *, quick_only=False):
    return run_checks(examine_machine(host, PATHS), quick_only=quick_only)


def apply_state(host, config):
    """Write config.yaml, and make it and the drop-ins the last state of the history."""
    host.write(PATHS.config_file, config, mode=0o600)
    names = host.listdir(PATHS.hub_drop_ins)
    drop_ins = {f"jupyterhub_config.d/{n}": host.read(PATHS.hub_drop_ins / n) for n in names}
    journal = Journal(PATHS.journal_dir)
    files = {"config.yaml": config, **drop_ins}
    journal.begin(host, user="ada", command="reload", changes=(), files=files)
    journal.keep(host)


def whats(host):
    return [item.finding.what for item in reported(host)]


def test_a_sound_hub_has_no_findings(host):
    assert reported(host) == []
    assert find_worst([]) is Severity.FINE


def test_another_python_of_the_system_is_reported_with_the_command_to_rebuild(host):
    stamp = PATHS.prefix / "versions/hub-0123456789ab/share/tljh/environment.json"
    for directory in (stamp.parent.parent, stamp.parent):
        host.mkdir(directory, mode=0o755)
    recorded = {"python": "/usr/bin/python3.11 cpython-311 x86_64", "specs": []}
    host.write(stamp, json.dumps({"wanted": recorded}).encode(), mode=0o644)
    host.answers["/usr/bin/python3"] = Result(0, "/usr/bin/python3.11 3 11\n")
    assert reported(host) == []
    host.answers["/usr/bin/python3"] = Result(0, "/usr/bin/python3.13 3 13\n")
    (result,) = reported(host)
    assert result.severity is Severity.BROKEN
    assert "built on /usr/bin/python3.11, /usr/bin/python3 is /usr/bin/python3.13" in str(
        result.finding.why
    )
    assert "share/tljh/bootstrap.py" in str(result.finding.fix)


def test_declared_groups_that_give_root_are_found_before_an_account_has_them(host):
    config = b"users: {admin: [ada], groups: [lxc], extra_user_groups: {docker: [bob]}}\n"
    apply_state(host, config)
    results = [item for item in reported(host) if item.check == "groups that give root"]
    fixes = {item.finding.what: item.finding.fix for item in results}
    assert fixes["every user can become root: users.groups has lxc"] == (
        "sudo tljh-config remove-item users.groups lxc, then reload"
    )
    assert fixes["jupyter-bob can become root: it is in the group docker"] == (
        "sudo tljh-config remove-item users.extra_user_groups.docker bob, then reload"
    )


def test_every_finding_has_a_fix(host):
    host.unit_states.clear()
    host.write(PATHS.config_file, b"usres: {}\n", mode=0o644)
    host.mkdir(PATHS.journal_dir / "pending", mode=0o700)
    results = reported(host)
    assert len(results) >= 4
    assert [item.finding.what for item in results if not item.finding.fix] == []


def test_a_stopped_unit_is_broken_and_shows_its_last_lines(host):
    host.unit_states["jupyterhub.service"] = replace(
        host.unit("jupyterhub.service"), active="failed"
    )
    results = reported(host)
    assert find_worst(results) is Severity.BROKEN
    (unit,) = [item for item in results if item.check == "units"]
    assert unit.finding.why == "last lines of jupyterhub.service"


@pytest.mark.parametrize("unit", ["jupyterhub.service", "traefik.service"])
@pytest.mark.parametrize("quick_only", [True, False])
def test_a_unit_that_does_not_start_at_boot_is_degraded(host, unit, quick_only):
    host.unit_states[unit] = replace(host.unit(unit), enabled="disabled")
    (result,) = reported(host, quick_only=quick_only)
    assert result.severity is Severity.DEGRADED
    assert result.finding.what == f"{unit} will not start at boot"
    assert result.finding.fix == f"sudo systemctl enable {unit}"


@pytest.mark.parametrize("path", ["/", "/home", str(PATHS.prefix)])
def test_doctor_reports_a_file_system_that_is_nearly_full(host, path):
    free = dict.fromkeys(("/", "/home", str(PATHS.prefix)), 1 << 30)
    host.answers["df --output=avail -B1"] = lambda argv: Result(0, f"Avail\n{free[argv[-1]]}\n")
    assert reported(host) == []
    free[path] = 5 << 20
    (result,) = reported(host)
    assert result.severity is Severity.DEGRADED
    assert result.finding.what == f"the file system of {path} is nearly full: 5 MiB left"
    assert reported(host, quick_only=True) == []


def test_status_reports_a_full_disk_and_a_hub_that_ended_for_it(host, monkeypatch):
    row = {"/home": "0 4000 5000 /home"}
    host.answers["df --output=avail,iavail"] = lambda argv: Result(
        0, f"Avail\n{row.get(argv[-1], '5000000 4000 5000 /')}\n"
    )
    (result,) = reported(host, quick_only=True)
    assert result.severity is Severity.BROKEN
    assert result.finding.what == "no disk space left on /home"
    row["/var"] = "0 4000 5000 /var"
    host.unit_states["jupyterhub.service"] = replace(
        host.unit("jupyterhub.service"), active="failed"
    )
    log = "OSError: [Errno 28] No space left on device\n"
    monkeypatch.setattr(type(host), "journal", lambda *_, **__: log)
    full = "no disk space left on /home and no disk space left on /var"
    whats = [item.finding.what for item in reported(host, quick_only=True)]
    assert f"jupyterhub.service is failed: {full}" in whats


@pytest.mark.parametrize("path", [PATHS.config_dir, PATHS.config_file, PATHS.state_dir], ids=str)
@pytest.mark.parametrize("bit", [0o040, 0o004, 0o010, 0o002])
def test_doctor_reports_a_path_that_is_open_to_other_users(host, path, bit):
    mode = host.info(path).mode | bit
    host.chmod(path, mode=mode, owner="root", group="root")
    (result,) = reported(host)
    assert result.severity is Severity.DEGRADED
    assert result.finding.what == f"{path} can be read by other users than root"
    assert result.finding.why == f"its mode is {mode:04o}"


def test_an_answer_of_another_server_on_the_port_is_not_taken_for_the_hub(host):
    host.responses["http://127.0.0.1:80/hub/login"] = Response(200, "nginx", {})
    assert any("through the proxy does not answer" in what for what in whats(host))


def test_an_admin_without_a_password_is_reported_and_a_fault_without_a_valid_link(
    host, monkeypatch
):
    monkeypatch.setattr("tljh.users.facts.read_logins", lambda path: [])
    path = PATHS.state_dir / "claims/ada.json"
    host.write(path, make_claim("ada").as_bytes(), mode=0o600)
    assert whats(host) == ["admin ada has not set a password yet"]
    assert find_worst(reported(host)) is Severity.FINE
    host.write(
        path, make_claim("ada", datetime(2020, 1, 1, tzinfo=timezone.utc)).as_bytes(), mode=0o600
    )
    assert find_worst(reported(host)) is Severity.DEGRADED
    host.remove(path)
    assert find_worst(reported(host)) is Severity.DEGRADED


def test_an_invalid_configuration_is_degraded_with_its_line(host):
    host.write(PATHS.config_file, b"users:\n  adnim: [ada]\n", mode=0o600)
    (finding,) = [item.finding for item in reported(host) if item.check == "configuration"]
    assert finding.where
    assert finding.where.line == 2


def test_dummy_authentication_is_reported(host):
    apply_state(host, b"auth: {type: dummy}\n")
    assert "auth.type is dummy, which allows a login under any name" in whats(host)


def test_a_refused_handover_of_the_proxy_is_reported(host):
    host.mkdir(Path("/run/traefik"), mode=0o755)
    state = json.dumps({"last_error": "port 80 is taken"}).encode()
    host.write(Path("/run/traefik/state.json"), state, mode=0o644)
    assert any("could not load its last configuration" in what for what in whats(host))


def test_a_hub_without_an_admin_is_reported_unless_a_drop_in_may_name_one(host):
    apply_state(host, b"users: {allowed: [ada]}\n")
    (result,) = reported(host)
    assert result.finding.what == "the hub has no admin"
    assert result.severity is Severity.FINE
    own = PATHS.hub_drop_ins / "own.py"
    host.write(own, b"c.Authenticator.admin_users = {'ada'}\n", mode=0o600)
    apply_state(host, b"users: {allowed: [ada]}\n")
    assert reported(host) == []


def test_edits_that_are_not_applied_are_noted_and_judge_nothing(host):
    host.write(PATHS.config_file, b"http: {port: 8081}\nusers: {admin: [ada]}\n", mode=0o600)
    (result,) = reported(host)
    assert result.severity is Severity.FINE
    assert result.finding.what == "config.yaml has edits that are not applied"
    assert result.finding.fix == "sudo tljh-config reload"
    host.write(PATHS.hub_drop_ins / "own.py", b"x = 1\n", mode=0o600)
    (result,) = reported(host)
    assert "config.yaml, jupyterhub_config.d/own.py" in result.finding.what


def test_an_edit_with_mistakes_hides_no_fault_of_the_hub_that_runs(host):
    host.write(PATHS.config_file, b"nonsense: 1\n", mode=0o600)
    host.responses["http://127.0.0.1:80/hub/login"] = Response(200, "nginx", {})
    assert any("through the proxy does not answer" in what for what in whats(host))


def test_names_of_checks_are_distinct():
    names = [check.name for check in list_checks()]
    assert len(set(names)) == len(names)


def test_a_home_that_its_account_cannot_write_is_reported(host):
    host.add_user("jupyter-zoe", home=Path("/home/jupyter-zoe"))
    host.mkdir(Path("/home"), mode=0o755)
    host.mkdir(Path("/home/jupyter-zoe"), mode=0o700, owner="1007")
    host.answers["runuser -u jupyter-zoe -- test"] = Result(1)
    (result,) = reported(host)
    assert result.severity is Severity.DEGRADED
    assert result.finding.what == "the home of jupyter-zoe belongs to 1007"
    assert "chown -R --from=1007 jupyter-zoe: /home/jupyter-zoe" in str(result.finding.fix)


def test_a_home_without_an_account_that_another_user_owns_is_reported(host):
    host.add_user("jupyter-ann", home=Path("/home/jupyter-ann"))
    host.mkdir(Path("/home"), mode=0o755)
    host.mkdir(Path("/home/jupyter-zoe"), mode=0o700, owner="jupyter-ann")
    # A directory that belongs to no user of the hub, and one that ann made for herself.
    host.mkdir(Path("/home/projects"), mode=0o700, owner="jupyter-ann")
    (result,) = reported(host)
    assert "/home/jupyter-zoe belongs to jupyter-ann" in result.finding.what
    assert "chown -R --from=jupyter-ann" in str(result.finding.fix)
    # So are those next to the homes of other accounts.
    host.add_user("jupyter-eve", home=Path("/old/jupyter-eve"))
    host.mkdir(Path("/old"), mode=0o755)
    host.mkdir(Path("/old/jupyter-yan"), mode=0o700, owner="jupyter-ann")
    assert "/old/jupyter-yan belongs to jupyter-ann, and jupyter-yan has no account" in whats(host)


def test_an_idle_culler_that_does_not_run_or_is_refused_is_found(host):
    host.answers["pgrep"] = Result(1)
    assert whats(host) == ["the idle culler does not run: idle servers are never stopped"]
    host.answers["pgrep"] = Result(0)
    line = (
        "[W 2026-11-27 15:00:00 JupyterHub log:192] 403 GET /hub/api/users?state=[secret] ({}@::1)"
    )
    host.answers["journalctl -u jupyterhub.service --since"] = Result(0, line.format("ann"))
    assert whats(host) == []
    host.answers["journalctl -u jupyterhub.service --since"] = Result(0, line.format("cull-idle"))
    assert whats(host) == ["the hub refuses the idle culler: idle servers are never stopped"]


def test_a_wildcard_name_is_recommended_for_a_host_of_each_user(host):
    text = b"users: {admin: [ada]}\nhttps: {enabled: true, mode: letsencrypt, letsencrypt:" + (
        b" {email: a@hub.org, domains: [hub.org, '*.hub.org'], dns: {provider: cloudflare,"
        b" credentials: /root/dns.ini}}}\n"
    )
    apply_state(host, text)
    assert any("*.hub.org could give each user a host name" in what for what in whats(host))


OWN = b"https: {enabled: true, tls: {key: /root/key.pem, cert: /root/cert.pem}}\n"


@pytest.fixture
def certificate(monkeypatch):
    """Serve an own certificate of the names that the test gives."""

    def serve(*names: str) -> None:
        state = SimpleNamespace(about=SimpleNamespace(names=names))
        monkeypatch.setattr(user_hosts, "read_certificate_state", lambda *_: state)

    return serve


def test_the_certificate_of_an_admin_counts_and_hosts_of_users_end_it(host, certificate):
    apply_state(host, b"users: {admin: [ada]}\n" + OWN)
    certificate("hub.org")
    assert find_unused_wildcard(host, PATHS) is None
    certificate("hub.org", "*.hub.org")
    finding = find_unused_wildcard(host, PATHS)
    assert finding is not None
    assert "JupyterHub.subdomain_host https://hub.org; sudo tljh-config reload" in finding.fix
    hosts = b"JupyterHub: {subdomain_host: 'https://hub.org'}\n"
    apply_state(host, b"users: {admin: [ada]}\n" + OWN + hosts)
    assert find_unused_wildcard(host, PATHS) is None
