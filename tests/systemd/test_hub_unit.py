"""The hub's unit: it comes back, whatever ended it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tljh.systemd import templates
from tljh.systemd.templates import render_unit


def unit(*, has_restart_steps: bool) -> str:
    return render_unit(
        "jupyterhub.service",
        hub="/opt/tljh/hub",
        prefix="/opt/tljh",
        state_dir="/opt/tljh/state",
        applied_drop_ins="/opt/tljh/state/applied/jupyterhub_config.d",
        hub_drop_ins="/opt/tljh/config/jupyterhub_config.d",
        has_restart_steps=has_restart_steps,
    ).decode()


def test_the_hub_comes_back_whatever_ended_it_and_never_gives_up():
    assert "\nRestart=always\n" in unit(has_restart_steps=False)
    assert "\nStartLimitIntervalSec=0\n" in unit(has_restart_steps=False)


def test_a_crash_loop_backs_off_where_systemd_can():
    assert "\nRestartMaxDelaySec=60\n" in unit(has_restart_steps=True)
    assert "RestartSteps" not in unit(has_restart_steps=False)


def test_a_crash_loop_of_an_older_systemd_has_a_fixed_pause():
    assert "\nRestartSec=2\n" in unit(has_restart_steps=False)


TEMPLATES = sorted(Path(templates.__file__).parent.glob("*.service.j2"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_service_that_is_restarted_is_ever_given_up(template):
    # The limit is off, or the pause is so long that five starts never come within 10 s.
    text = template.read_text()
    if "\nRestart=" in text:
        pauses = [int(seconds) for seconds in re.findall(r"^RestartSec=(\d+)$", text, re.M)]
        assert "\nStartLimitIntervalSec=0\n" in text or min(pauses) > 2


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path):
    text = unit(has_restart_steps=False).replace("/opt/tljh/hub/bin/python", "/bin/true")
    path = tmp_path / "jupyterhub.service"
    path.write_text(text.replace("WorkingDirectory=/opt/tljh/state", "WorkingDirectory=/"))
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    assert "Unknown" not in done.stderr
