"""The process that tries a configuration: the same environment as the hub's unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.operations.test_converge import PATHS, install, machine
from tljh.base.errors import TljhError
from tljh.base.path_groups import AppliedFiles
from tljh.host.interface import Result
from tljh.hub.candidate import read_unit_environment, run_like_the_hub
from tljh.operations.converge import Request, work_out

SHOWN = (
    'Environment=PATH=/opt/tljh/hub/bin:/usr/bin "GREETING=two words and \\"quotes\\"" A=\n'
    "EnvironmentFiles=/etc/default/hub (ignore_errors=no)\n"
    "EnvironmentFiles=/etc/default/more (ignore_errors=yes)\n"
    "WorkingDirectory=/srv/hub\n"
)


@pytest.fixture
def host(monkeypatch):
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])
    host = machine()
    install(host)
    host.answers["systemctl show jupyterhub.service"] = Result(0, SHOWN)
    return host


FILES = AppliedFiles(Path("/run/c"))


def test_variables_files_and_directory_of_the_unit_are_read_as_systemd_prints_them(host):
    unit = read_unit_environment(host)
    assert unit.variables == (
        "PATH=/opt/tljh/hub/bin:/usr/bin",
        'GREETING=two words and "quotes"',
        "A=",
    )
    assert unit.files == ("/etc/default/hub", "-/etc/default/more")
    assert unit.working_directory == "/srv/hub"


def test_a_candidate_is_tried_with_the_environment_of_the_hubs_unit(host):
    calls = []
    host.mkdir(Path("/etc/default"), mode=0o755)
    host.write(Path("/etc/default/hub"), b"SECRET=1\n", mode=0o600)

    def answer(argv):
        calls.append(list(argv))
        return Result(0)

    host.answers["systemd-run"] = answer
    facts = work_out(host, PATHS, Request("plan")).facts
    run_like_the_hub(host, PATHS, facts, FILES, "tljh.hub.config_check", timeout_s=9)
    (argv,) = calls
    assert '--setenv=GREETING=two words and "quotes"' in argv
    assert f"--setenv=PATH={facts.hub_environment}/bin:/usr/bin" in argv
    assert "--setenv=TLJH_APPLIED=/run/c" in argv
    assert "--property=EnvironmentFile=/etc/default/hub" in argv
    assert "--property=EnvironmentFile=-/etc/default/more" in argv
    assert "--property=WorkingDirectory=-/srv/hub" in argv
    bind = f"/run/c/jupyterhub_config.d:{PATHS.hub_drop_ins}"
    assert f"--property=BindReadOnlyPaths={bind}" in argv


def test_a_missing_file_of_variables_is_reported_before_the_hub_stops(host):
    facts = work_out(host, PATHS, Request("plan")).facts
    with pytest.raises(TljhError, match="EnvironmentFile=/etc/default/hub, which does not exist"):
        run_like_the_hub(host, PATHS, facts, FILES, "tljh.hub.config_check", timeout_s=9)


def test_the_hubs_unit_sees_the_applied_drop_ins_at_the_admins_directory(host):
    unit = (host.read(PATHS.units_dir / "jupyterhub.service") or b"").decode()
    assert f"BindReadOnlyPaths=-{PATHS.applied.drop_ins}:{PATHS.hub_drop_ins}\n" in unit
