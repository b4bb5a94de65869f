"""The lock of all installers, and those of other package managers."""

from __future__ import annotations

import fcntl
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tljh_installer.locks import (
    downloading_packages,
    dpkg_was_interrupted,
    record_lock_holder,
    run_lock,
    wait_for_dpkg,
)
from tljh_installer.steps import Steps

from tljh.base.errors import TljhError

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def record_lock(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold a record lock on `path` in another process, as dpkg does."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.communicate()


def test_a_second_installer_names_the_first_and_ends_with_4(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with run_lock(path):
        with pytest.raises(TljhError) as refused, run_lock(path):
            pass
        assert refused.value.exit_code == 4
        assert str(os.getpid()) in str(refused.value)
    assert not path.exists()
    with run_lock(path):
        pass


def test_children_do_not_inherit_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with run_lock(path):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with run_lock(path):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_lock_on_a_removed_file_excludes_no_installer(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        path.unlink()
        with run_lock(path):
            assert path.exists()


def test_the_lock_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError), run_lock(tmp_path / "lock"):
        pass
    assert not (tmp_path / "victim").exists()


def test_the_holder_of_a_package_managers_lock_is_found(tmp_path: Path) -> None:
    path = tmp_path / "lock-frontend"
    assert record_lock_holder(path) is None
    path.touch()
    assert record_lock_holder(path) is None
    with record_lock(path) as process:
        assert record_lock_holder(path) == process.pid
    assert record_lock_holder(path) is None


def test_a_held_lock_is_waited_for_with_a_message(tmp_path: Path) -> None:
    path = tmp_path / "lock-frontend"
    out = io.StringIO()
    waiter = threading.Thread(
        target=wait_for_dpkg,
        args=(Steps(out),),
        kwargs={"locks": (path,), "poll_s": 0.01, "deadline_s": 30},
    )
    with record_lock(path) as process:
        waiter.start()
        deadline_s = time.monotonic() + 30
        while "waiting for" not in out.getvalue():
            assert time.monotonic() < deadline_s
            waiter.join(0.01)
    waiter.join(30)
    assert not waiter.is_alive()
    assert f"(process {process.pid})" in out.getvalue()


def test_waiting_has_a_deadline_and_the_error_names_the_holder_and_a_fix(tmp_path: Path) -> None:
    path = tmp_path / "lock-frontend"
    with record_lock(path) as process, pytest.raises(TljhError) as failed:
        wait_for_dpkg(Steps(io.StringIO()), locks=(path,), deadline_s=0.05, poll_s=0.01)
    assert str(process.pid) in str(failed.value)
    assert failed.value.findings[0].fix


def test_an_interrupted_dpkg_is_recognised(tmp_path: Path) -> None:
    assert not dpkg_was_interrupted(tmp_path / "missing")
    assert not dpkg_was_interrupted(tmp_path)
    (tmp_path / "0001").touch()
    assert dpkg_was_interrupted(tmp_path)


def test_lists_and_packages_are_downloaded_in_the_background_and_a_failure_is_ignored(
    tmp_path: Path,
) -> None:
    apt_get = tmp_path / "apt-get"
    apt_get.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nexit 100\n')
    apt_get.chmod(0o755)
    steps = Steps(io.StringIO())
    with downloading_packages(steps, {"PATH": f"{tmp_path}:/usr/bin:/bin"}):
        pass
    update, install = (tmp_path / "calls").read_text().splitlines()
    assert update == "-q update"
    assert "--download-only install sudo git" in install
