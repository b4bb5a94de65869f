"""Background programs and all their child processes end with the installation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tljh_installer.processes import run_in_background
from tljh_installer.steps import standard

DEADLINE_S = 30


def wait_for_pid(path: Path) -> psutil.Process:
    """Return the process whose id will be written to `path`."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    return psutil.Process(int(path.read_text()))


def wait_until_ended(process: psutil.Process) -> None:
    """Wait for the end of an orphan, which the init process may leave as a zombie."""
    deadline_s = time.monotonic() + DEADLINE_S
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def command(pid_file: Path) -> list[str]:
    return ["sh", "-c", f"sleep 300 & echo $! > {pid_file}; wait"]


def test_a_failed_installation_leaves_no_background_process(tmp_path: Path) -> None:
    steps, pid_file = standard(False, ()), tmp_path / "pid"
    with (
        pytest.raises(ValueError, match="the installation failed"),
        run_in_background(steps, command(pid_file), environ=os.environ, timeout_s=600),
    ):
        child = wait_for_pid(pid_file)
        raise ValueError("the installation failed")
    wait_until_ended(child)


def test_a_killed_installation_leaves_no_background_process(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import os, signal, sys\n"
        "from tljh_installer.processes import run_in_background\n"
        "from tljh_installer.steps import standard\n"
        f"command = {command(pid_file)!r}\n"
        "steps = standard(False, ())\n"
        "with run_in_background(steps, command, environ=os.environ, timeout_s=600):\n"
        "    signal.pause()\n"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", code], env=environ) as installer:
        child = wait_for_pid(pid_file)
        installer.send_signal(signal.SIGKILL)
    wait_until_ended(child)
