"""Programs that run beside the installation end with it, and all that they started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tljh_installer.processes import beside
from tljh_installer.steps import standard

DEADLINE_S = 30


def awaited(path: Path) -> psutil.Process:
    """The process whose number will stand in `path`."""
    end_s = time.monotonic() + DEADLINE_S
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < end_s
        os.sched_yield()
    return psutil.Process(int(path.read_text()))


def command(told: Path) -> list[str]:
    return ["sh", "-c", f"sleep 300 & echo $! > {told}; wait"]


def test_a_failed_installation_leaves_none_of_what_ran_beside_it(tmp_path: Path) -> None:
    steps, told = standard(False, ()), tmp_path / "pid"
    with (
        pytest.raises(ValueError, match="the installation failed"),
        beside(steps, command(told), environ=os.environ, timeout_s=600),
    ):
        child = awaited(told)
        raise ValueError("the installation failed")
    child.wait(DEADLINE_S)


def test_a_killed_installation_leaves_none_of_what_ran_beside_it(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    code = (
        "import os, signal, sys\n"
        "from tljh_installer.processes import beside\n"
        "from tljh_installer.steps import standard\n"
        f"with beside(standard(False, ()), {command(told)!r}, environ=os.environ, timeout_s=600):\n"
        "    signal.pause()\n"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", code], env=environ) as installer:
        child = awaited(told)
        installer.send_signal(signal.SIGKILL)
    child.wait(DEADLINE_S)
