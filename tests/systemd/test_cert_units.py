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


def test_the_certificate_is_checked_hourly_but_not_by_all_hubs_at_once():
    assert "\nOnCalendar=hourly\n" in TIMER
    assert re.search(r"^RandomizedDelaySec=", TIMER, re.M)
    assert "\nPersistent=yes\n" in TIMER  # a run that was missed while the machine slept


def test_nothing_is_started_while_https_is_off():
    assert "\nConditionPathExists=/var/lib/traefik/dynamic/tls.yaml\n" in SERVICE


def test_the_service_does_not_fail_while_another_command_holds_the_lock():
    assert "\nSuccessExitStatus=4\n" in SERVICE


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
def test_systemd_understands_the_timer(tmp_path):
    (tmp_path / "tljh-cert.timer").write_text(TIMER)
    service = SERVICE.replace("/opt/tljh/hub/bin/python", "/bin/true")
    (tmp_path / "tljh-cert.service").write_text(service)
    output = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "tljh-cert.timer"],
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    assert not [line for line in output.splitlines() if "tljh-cert" in line], output
