from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tljh.systemd.templates import render_unit

SERVICE = render_unit(
    "tljh-cert.service", hub="/opt/tljh/hub", prefix="/opt/tljh", traefik_dir="/var/lib/traefik"
).decode()
TIMER = render_unit("tljh-cert.timer").decode()


def test_the_certificate_is_looked_at_hourly_but_not_by_all_hubs_at_once():
    assert "\nOnCalendar=hourly\n" in TIMER
    assert re.search(r"^RandomizedDelaySec=", TIMER, re.M)
    assert "\nPersistent=yes\n" in TIMER  # what a machine that slept has missed is made up for


def test_nothing_is_started_while_https_is_off():
    assert "\nConditionPathExists=/var/lib/traefik/dynamic/tls.yaml\n" in SERVICE


def test_a_command_at_work_is_no_failure_of_the_service():
    assert "\nSuccessExitStatus=4\n" in SERVICE


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
def test_systemd_understands_the_timer(tmp_path):
    (tmp_path / "tljh-cert.timer").write_text(TIMER)
    service = SERVICE.replace("/opt/tljh/hub/bin/python", "/bin/true")
    (tmp_path / "tljh-cert.service").write_text(service)
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "tljh-cert.timer"],
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    assert not [line for line in told.splitlines() if "tljh-cert" in line], told
