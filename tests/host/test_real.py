"""The real host: unanswered requests, odd files, full disks and killed runs."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tljh.host.real import RealHost


def test_a_closed_port_is_reported_in_two_words():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        answer = RealHost().http("GET", f"http://127.0.0.1:{port}/")
    assert answer.status == 0
    assert answer.text == "Connection refused"


def test_a_port_that_never_answers_is_reported_with_the_deadline():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        answer = RealHost().http("GET", url, timeout_s=0.2)
    assert answer.text == "no answer within 0.2 s"


def test_programs_do_not_run_in_the_callers_directory(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('the code of another user')")
    monkeypatch.chdir(tmp_path)
    argv = [sys.executable, "-m", "json.tool", "--help"]
    assert RealHost().query(argv).ok
    assert RealHost().run(argv, timeout_s=30).ok
    assert RealHost().run(argv, timeout_s=30, on_line=lambda line: None).ok


def test_a_command_that_dies_with_us_ends_when_a_run_is_killed(tmp_path):
    code = f"""
from tljh.host.interface import DIES_WITH_US
from tljh.host.real import RealHost
RealHost().run([*DIES_WITH_US, "sh", "-c", "echo $$ > {tmp_path}/pid; exec sleep 60"], timeout_s=60)
"""
    run = subprocess.Popen([sys.executable, "-c", code])
    pid = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    run.kill()
    run.wait()
    assert wait_for(lambda: has_ended(pid))


def has_ended(pid: int) -> bool:
    """Return whether a process ended; its parent may have left it as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(condition):
    deadline_s = time.monotonic() + 30
    while not (result := condition()):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    return result


def test_what_is_not_a_regular_file_is_neither_read_nor_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    for name in ("fifo", "loop", "socket", ".", "gone"):
        assert RealHost().read(tmp_path / name) is None, name
    assert RealHost().read(Path("/dev/zero")) is None
    assert RealHost().read(Path("/proc/self/cmdline"))


def test_a_file_over_the_size_limit_is_not_read(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert RealHost().read(tmp_path / "file", most_bytes=5) == b"12345"
    assert RealHost().read(tmp_path / "file", most_bytes=4) is None


def test_a_link_is_followed_on_demand_only(tmp_path):
    (tmp_path / "file").touch(mode=0o640)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    kinds = [RealHost().info(tmp_path / "link", follow=follow).kind for follow in (False, True)]
    assert kinds == ["symlink", "file"]
    assert RealHost().info(tmp_path / "loop", follow=True) is None


def test_an_append_that_does_not_fit_fails_and_leaves_the_file_unchanged(tmp_path: Path):
    path = tmp_path / "steps.jsonl"
    RealHost().append(path, b"one\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As on a full disk: a part is written without an error, the rest is refused.
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            RealHost().append(path, b"x" * 3000 + b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"one\n"
    RealHost().append(path, b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_lock_that_all_could_read_is_closed(tmp_path):
    lock = tmp_path / "lock"
    lock.touch(mode=0o644)
    with RealHost().lock(lock, timeout_s=1):
        assert lock.stat().st_mode & 0o777 == 0o600
