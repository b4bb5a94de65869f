"""Real processes whose output, terminal or life ends before they do."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.configurations import TLJH_CONFIG, make_installation
from tljh.base.files import edit_lock
from tljh.base.interruptions import SIGNALS, raised_as_exceptions
from tljh.host.real import RealHost
from tljh.settings.config_file import ConfigFile
from tljh.settings.load import load


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TLJH_INSTALL_PREFIX", str(tmp_path))
    return make_installation(tmp_path, "users:\n  admin:\n  - alice\n")


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of bash; its exit code is that of our program in a pipe."""
    words = ["bash", "-o", "pipefail", "-c", command.replace("tljh-config", str(TLJH_CONFIG))]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def port(file: Path) -> int:
    return load(file.read_bytes()).http.port


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_descriptors_that_are_closed_get_no_output_into_our_files(
    file: Path, redirection: str
) -> None:
    before = file.read_text()
    done = shell(f"tljh-config set http.port 8081 {redirection}")
    assert port(file) == 8081
    assert file.read_text().startswith(before)
    assert file.read_text() == f"{before}http:\n  port: 8081\n"
    assert done.returncode in (0, 1)


def test_a_closed_pipe_is_141_without_a_message(file: Path) -> None:
    done = shell("tljh-config describe | true")
    assert (done.returncode, done.stderr) == (141, "")
    done = shell("tljh-config --version | true")
    assert done.returncode in (0, 141)  # the pipe may take it before it is closed
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("redirection", "reason"),
    [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")],
)
def test_output_that_cannot_be_written_is_reported(
    file: Path, redirection: str, reason: str
) -> None:
    done = shell(f"tljh-config show {redirection}")
    assert done.returncode == 1
    assert done.stderr == (
        "error: the command is done, but its output could not be written\n"
        f"  because: standard output: {reason}\n"
    )


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2> >(true)"])
def test_errors_that_nobody_can_read_keep_their_exit_code(file: Path, redirection: str) -> None:
    assert shell(f"tljh-config set http.port nonsense {redirection}").returncode == 1


@contextlib.contextmanager
def terminal() -> Iterator[tuple[dict[str, object], Callable[[], None]]]:
    """Yield the options of a process in a terminal, and a function that closes the terminal."""
    ours, theirs = pty.openpty()
    closed: list[int] = []

    def close() -> None:
        for descriptor in (theirs, ours):
            os.close(descriptor)
            closed.append(descriptor)

    yield (
        {
            "stdin": theirs,
            "stdout": theirs,
            "stderr": theirs,
            "start_new_session": True,
            "preexec_fn": lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        },
        close,
    )
    assert closed


def waiting_command(file: Path, **options: object) -> subprocess.Popen[bytes]:
    """Start a `set` that waits for the lock, which the caller holds."""
    command = [str(TLJH_CONFIG), "set", "http.port", "8081"]
    process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    while True:
        # The kernel lists a waiting process; ours polls, so its open file is what shows it.
        assert process.poll() is None
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if descriptor.readlink() == edit_lock(file):
                    return process  # type: ignore[no-any-return]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_with_one_line_and_its_exit_code(file: Path, number: signal.Signals) -> None:
    before = file.read_bytes()
    with edit_lock(file).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = waiting_command(file, stderr=subprocess.PIPE)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (128 + number, b"error: interrupted\n")
    assert file.read_bytes() == before


def test_a_terminal_that_hangs_up_is_exit_code_129(file: Path) -> None:
    before = file.read_bytes()
    with edit_lock(file).open("w") as lock, terminal() as (options, close):
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = waiting_command(file, **options)
        close()
        assert process.wait(timeout=30) == 129
    assert file.read_bytes() == before


def test_a_command_under_nohup_finishes_when_its_terminal_is_closed(file: Path) -> None:
    with edit_lock(file).open("w") as lock, terminal() as (options, close):
        fcntl.flock(lock, fcntl.LOCK_EX)
        # A child process inherits it.
        previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            process = waiting_command(file, **options)
        finally:
            signal.signal(signal.SIGHUP, previous)
        close()
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert process.wait(timeout=30) == 141
    assert port(file) == 8081


class SignalledHost(RealHost):
    """A host on which a signal arrives just before or after a file is written."""

    def __init__(self, number: int, *, is_before: bool) -> None:
        self.number, self.is_before = number, is_before

    def write(self, path: Path, *arguments: object, **options: object) -> None:
        if self.is_before:
            os.kill(os.getpid(), self.number)
        super().write(path, *arguments, **options)  # type: ignore[arg-type]
        if not self.is_before:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("is_before", [True, False])
def test_a_signal_while_config_yaml_is_written_comes_too_late(
    file: Path, number: signal.Signals, is_before: bool
) -> None:
    host = SignalledHost(number, is_before=is_before)
    with raised_as_exceptions():
        ConfigFile(file, host=host).change(lambda text: text + "http: {port: 8081}\n")
        # The message after it, too.
        os.kill(os.getpid(), number)
    assert port(file) == 8081
