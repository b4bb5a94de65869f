"""Services of config.yaml on a machine in memory: made, changed, broken, removed, rolled back."""

from __future__ import annotations

import copy
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.operations.test_converge import PATHS, install, machine, reload
from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.host.fake import FakeHost
from tljh.host.interface import FileInfo, Response, UserInfo
from tljh.operations.generalization import generalize
from tljh.operations.rotation import choose_secrets, list_secrets, rotate
from tljh.operations.services import read_services
from tljh.operations.uninstall import uninstall
from tljh.services.environment import build_environment, format_environment
from tljh.services.programs import find_program_problems
from tljh.services.unit_text import format_unit, quote_words
from tljh.settings.load import load

NONE = b"users: {admin: [ada]}\n"
BOARD = NONE + b"services: {board: {command: [/usr/bin/board], port: 9100}}\n"
UNIT = "tljh-service-board.service"
ACCOUNT = "tljh-svc-board"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])
    host = machine()
    install(host)
    for directory in ("/usr", "/usr/bin", "/srv"):
        host.files[Path(directory)] = (FileInfo("directory", 0o755, "root", "root"), b"")
    host.files[Path("/usr/bin/board")] = (FileInfo("file", 0o755, "root", "root"), b"")

    def answer() -> Response:
        return Response(302 if host.unit(UNIT).is_active else 0)

    host.responses["http://127.0.0.1:9100/services/board/"] = answer
    return host


def test_a_service_gets_account_token_and_unit_and_loses_all_of_it(host):
    reload(host, BOARD)
    assert host.unit(UNIT).is_active and host.unit(UNIT).is_enabled
    assert host.user(ACCOUNT) is not None
    token = host.read(PATHS.service_token("board")).decode().strip()
    assert token in host.read(PATHS.service_environment("board")).decode()
    for file in (PATHS.service_token("board"), PATHS.service_environment("board")):
        assert host.info(file).mode == 0o600
    assert token not in host.read(PATHS.units_dir / UNIT).decode()
    assert [each.state for each in read_services(host, PATHS)] == ["answers"]
    reload(host, NONE)
    assert not host.unit(UNIT).is_active and host.unit(UNIT).load == "not-found"
    assert host.user(ACCOUNT) is None
    left = [name for name in host.listdir(PATHS.state_dir) if "board" in name]
    assert left == [] and read_services(host, PATHS) == []


def test_a_reload_without_changes_changes_nothing(host):
    reload(host, BOARD)
    since = len(host.effects)
    reload(host, BOARD)
    assert not any(UNIT in effect for effect in host.effects[since:])


def test_a_new_service_that_does_not_answer_is_rolled_back(host):
    host.responses["http://127.0.0.1:9100/services/board/"] = Response(0)
    with pytest.raises(TljhError, match="does not answer"):
        reload(host, BOARD)
    assert host.user(ACCOUNT) is None and not host.unit(UNIT).is_active


def test_a_removal_that_fails_brings_the_service_back_with_its_token(host):
    reload(host, BOARD)
    token, uid = host.read(PATHS.service_token("board")), host.user(ACCOUNT).uid
    host.fail_before = len(host.effects) + count_effects_before_removal(host)
    with pytest.raises((TljhError, OSError)):
        reload(host, NONE)
    assert host.read(PATHS.service_token("board")) == token
    assert host.user(ACCOUNT).uid == uid and host.unit(UNIT).is_active


def count_effects_before_removal(host: FakeHost) -> int:
    """Return the number of effects of the removal before that of the account."""
    trial = copy.deepcopy(host)
    reload(trial, NONE)
    effects = trial.effects[len(host.effects) :]
    return next(number for number, effect in enumerate(effects) if ACCOUNT in effect)


def test_a_token_is_replaced_and_the_service_restarts(host):
    reload(host, BOARD)
    before = host.read(PATHS.service_token("board"))
    since = len(host.effects)
    secrets = choose_secrets("service-board", list_secrets(host, PATHS))
    rotate(host, PATHS, secrets, SilentProgress())
    assert host.read(PATHS.service_token("board")) != before
    restarted = [effect for effect in host.effects[since:] if "restart" in effect]
    assert any(UNIT in effect for effect in restarted)
    assert any("jupyterhub.service" in effect for effect in restarted)


def test_a_service_that_moves_elsewhere_keeps_its_token_only(host):
    reload(host, BOARD)
    token = host.read(PATHS.service_token("board"))
    reload(host, NONE + b"services: {board: {url: 'http://10.0.0.7:8000'}}\n")
    assert host.read(PATHS.service_token("board")) == token
    assert host.user(ACCOUNT) is None and host.read(PATHS.units_dir / UNIT) is None


@pytest.mark.parametrize(
    ("service", "what", "fix"),
    [
        ("{command: [/usr/bin/bord]}", "is not there: /usr/bin/bord", "correct its path"),
        ("{command: [/usr/bin/board, /srv/a.py]}", "does not exist: /srv/a.py", "create"),
        ("{command: [/usr/bin/board, a.py]}", "without its directory", "directory"),
        ("{command: [/usr/bin/board], user: nobody2}", "account that does not exist", "unset"),
        ("{command: [/usr/bin/board], directory: /srv/x}", "does not exist: /srv/x", "mkdir"),
        ("{command: [/usr/bin/board, /srv/closed.py]}", "cannot read /srv/closed.py", "chmod"),
        ("{command: [/usr/bin/board, /home/b/x.py]}", "cannot read /home/b/x.py", "install"),
    ],
)
def test_what_would_not_start_is_reported_before(host, service, what, fix):
    host.files[Path("/srv/closed.py")] = (FileInfo("file", 0o600, "root", "root"), b"")
    host.files[Path("/home/b/x.py")] = (FileInfo("file", 0o644, "root", "root"), b"")
    config = load(f"services: {{board: {service}}}".encode())
    (problem,) = find_program_problems(config, host, PATHS)
    assert what in problem.what and fix in problem.fix


def test_variables_are_those_of_jupyterhub():
    config = load(
        b"base_url: /lab/\n"
        b"services: {board: {command: [/usr/bin/board], port: 9100, environment: {A: 'x\"$y'}}}"
    )
    variables = build_environment(config, PATHS, "board", "t0ken")
    assert variables["JUPYTERHUB_API_TOKEN"] == "t0ken"
    assert variables["JUPYTERHUB_API_URL"] == "http://127.0.0.1:15001/lab/hub/api"
    assert variables["JUPYTERHUB_SERVICE_PREFIX"] == "/lab/services/board/"
    assert variables["JUPYTERHUB_SERVICE_URL"] == "http://127.0.0.1:9100"
    assert variables["JUPYTERHUB_CLIENT_ID"] == "service-board"
    assert variables["JUPYTERHUB_OAUTH_CALLBACK_URL"] == "/lab/services/board/oauth_callback"
    assert 'A="x\\"\\$y"\n' in format_environment(variables).decode()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
@pytest.mark.parametrize("version", [252, 255])
def test_systemd_understands_the_unit(tmp_path, version):
    config = load(
        b"services: {board: {command: [/usr/bin/env, 'a \"b', '50%', $c], port: 9100, cpu: 0.5,"
        b" user: daemon, writable: [/tmp], directory: /srv}}"
    )
    unit = tmp_path / UNIT
    unit.write_bytes(format_unit(config, PATHS, "board", "/usr/bin/env", version))
    output = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    ).stderr
    allowed = ("RestartSteps", "RestartMaxDelaySec", "jupyterhub.service")
    lines = [line for line in output.splitlines() if "board" in line]
    assert [line for line in lines if not any(word in line for word in allowed)] == []


def test_with_internal_ssl_a_service_gets_a_certificate_at_each_start():
    config = load(BOARD + b"JupyterHub: {internal_ssl: true}\n")
    unit = format_unit(config, PATHS, "board", "/usr/bin/board", 255).decode()
    assert "-m tljh.hub.service_certificate board tljh-svc-board\n" in unit
    variables = build_environment(config, PATHS, "board", "secret")
    assert variables["JUPYTERHUB_API_URL"] == "https://127.0.0.1:15001/hub/api"
    assert variables["JUPYTERHUB_SSL_KEYFILE"].startswith("/run/tljh-services/board/")
    assert "service_certificate" not in format_unit(load(BOARD), PATHS, "board", "/b", 255).decode()


def test_words_of_a_command_reach_the_program_as_they_are():
    assert quote_words(["a b", 'c"d', "50%", "$x", "e\\f"]) == (
        '"a b" "c\\"d" "50%%" "$$x" "e\\\\f"'
    )


def test_an_account_of_the_admins_choice_is_not_made_or_removed(host):
    host.accounts["www-data"] = UserInfo("www-data", 33, 33, "/", "")
    service = b"{command: [/usr/bin/board], port: 9100, user: www-data}"
    reload(host, NONE + b"services: {board: " + service + b"}\n")
    assert b"User=www-data\n" in host.read(PATHS.units_dir / UNIT)
    assert host.read(PATHS.service_ports) == b"{}\n"
    reload(host, NONE)
    assert host.user("www-data") is not None and host.user(ACCOUNT) is None


def test_an_uninstall_removes_unit_account_and_data(host):
    reload(host, BOARD)
    data = PATHS.services_data / "board"
    host.mkdir(data, mode=0o700, owner=ACCOUNT, group=ACCOUNT)
    uninstall(host, PATHS, SilentProgress(), purge=True)
    assert host.user(ACCOUNT) is None and not host.unit(UNIT).is_active
    assert host.info(data) is None and host.info(PATHS.units_dir / UNIT) is None


def test_a_machine_that_is_to_be_copied_has_no_token_of_a_service(host):
    reload(host, BOARD)
    before = host.read(PATHS.service_token("board"))
    generalize(host, PATHS, SilentProgress())
    assert not [name for name in host.listdir(PATHS.state_dir) if "board" in name]
    reload(host, BOARD)
    assert host.read(PATHS.service_token("board")) not in (None, before)
    assert host.unit(UNIT).is_active
