from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tljh.singleuser.nftables_rules import NAME
from tljh.systemd.templates import render_unit

UNIT = render_unit("tljh-isolation.service", hub="/opt/tljh/hub", prefix="/opt/tljh").decode()


def test_it_restarts_with_a_service_that_flushes_all_rules():
    # Debian's nftables.service begins with `flush ruleset`.
    assert "\nPartOf=nftables.service\n" in UNIT
    assert re.search(r"^After=.*\bnftables\.service\b", UNIT, re.M)


def test_stopping_it_removes_its_own_table_only():
    assert f"\nExecStop=-nft delete table {NAME}\n" in UNIT


def test_it_may_change_the_network_but_no_files_of_users():
    assert "\nProtectHome=yes\n" in UNIT
    assert "CAP_NET_ADMIN" in UNIT


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
def test_its_sandbox_scores_as_well_as_the_documentation_says(tmp_path):
    unit = tmp_path / "tljh-isolation.service"
    # systemd-analyze refuses a unit whose program does not exist.
    unit.write_text(
        UNIT.replace("/opt/tljh/hub/bin/python", "/bin/true").replace("=-nft", "=-/bin/true")
    )
    output = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", unit],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    score = re.search(r"exposure level for \S+: ([\d.]+)", output)
    assert score and float(score[1]) <= 3.1
