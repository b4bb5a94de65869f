"""The units that notice a new address of the machine."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tljh.systemd.templates import render_unit

NAMES = ("tljh-address.service", "tljh-address.timer")


def test_a_new_address_renews_the_certificate_once_the_network_has_settled():
    service, timer = (render_unit(name).decode() for name in NAMES)
    assert "ip -oneline monitor address" in service
    assert "systemctl restart --no-block tljh-address.timer" in service
    assert "\nUnit=tljh-cert.service\n" in timer and "\nOnActiveSec=5s\n" in timer


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
def test_systemd_understands_them(tmp_path):
    for name in NAMES:
        (tmp_path / name).write_bytes(render_unit(name))
    (tmp_path / "tljh-cert.service").write_text("[Service]\nExecStart=/bin/true\n")
    output = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / name for name in NAMES)],
        capture_output=True,
        text=True,
        check=False,
    ).stderr
    assert not [line for line in output.splitlines() if "tljh-address" in line], output
