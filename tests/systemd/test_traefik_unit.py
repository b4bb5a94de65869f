from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tljh.systemd.templates import render_unit

UNIT = render_unit(
    "traefik.service", hub="/opt/tljh/hub", traefik_dir="/var/lib/tljh-traefik"
).decode()


def test_traefik_runs_as_its_own_user_and_may_do_no_more_than_bind_ports():
    assert "\nUser=traefik\n" in UNIT
    assert "\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n" in UNIT
    assert "\nNoNewPrivileges=yes\n" in UNIT


def test_hub_and_proxy_do_not_restart_each_other():
    assert not re.search(r"^(Requires|BindsTo|PartOf|Upholds)=", UNIT, re.M)


def test_supervisor_can_read_whether_connections_migrate():
    assert not re.search(r"^ProcSubset=pid", UNIT, re.M)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
def test_sandbox_scores_as_well_as_the_documentation_says(tmp_path):
    unit = tmp_path / "traefik.service"
    unit.write_text(UNIT)
    output = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", unit],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    score = re.search(r"exposure level for \S+: ([\d.]+)", output)
    if score is None:
        pytest.skip("this systemd-analyze cannot judge a file (older than 250)")
    assert float(score[1]) <= 2.5
