"""Running of other programs, which end with this process and inherit no descriptors of it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tljh.base.interruptions import Interruption
from tljh_installer.steps import Steps

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: in a forked child, a lock that another thread held stays locked.
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent(parent: int, how: signal.Signals) -> Callable[[], None]:
    """Return a function for the child process that ties its life to `parent`'s."""

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(how))
        # The parent may have died before the call above; then no signal would come.
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare


@dataclass(frozen=True)
class EndedCommand:
    """Exit code and output of a command that has ended; `output` includes standard error."""

    code: int
    output: str
    stdout: str = ""


def run_logged(
    steps: Steps,
    command: Sequence[str | Path],
    *,
    environ: Mapping[str, str],
    timeout_s: float = 1800,
) -> EndedCommand:
    """Run `command` and log its output; it is killed when this process dies.

    The exit code is -1 if it could not be started or did not end within `timeout_s`.
    """
    words = [str(word) for word in command]
    steps.log("$ " + " ".join(words))
    try:
        process = subprocess.run(
            words,
            env=dict(environ),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            preexec_fn=_die_with_parent(os.getpid(), signal.SIGKILL),
        )
    except subprocess.TimeoutExpired:
        return EndedCommand(
            -1, f"{words[0]} was stopped: it did not end within {timeout_s:.0f} seconds"
        )
    except OSError as error:
        return EndedCommand(-1, f"{words[0]} could not be started: {error.strerror}")
    output = process.stderr + process.stdout
    steps.log(output)
    return EndedCommand(process.returncode, output.strip(), process.stdout)


@contextmanager
def run_in_background(
    steps: Steps, command: Sequence[str | Path], *, environ: Mapping[str, str], timeout_s: int
) -> Iterator[None]:
    """Run `command` without its output during the block, and wait for it at the end.

    The command and its child processes are stopped if the block fails, if this process dies, and
    at the deadline: an abandoned apt-get would keep its lock.
    """
    # `timeout` passes SIGTERM on to its whole process group; SIGKILL would end only itself.
    words = ["timeout", "--kill-after=5", str(timeout_s), *map(str, command)]
    steps.log("$ " + " ".join(words) + " &")
    process = subprocess.Popen(
        words,
        env=dict(environ),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=_die_with_parent(os.getpid(), signal.SIGTERM),
    )
    try:
        yield
        process.wait()
    finally:
        process.terminate()
        process.wait()


def run_on_terminal(command: Sequence[str | Path], *, environ: Mapping[str, str]) -> int:
    """Run `command` with our input and output and return its exit code; it ends if we die."""
    process = subprocess.Popen(
        [str(word) for word in command],
        env=dict(environ),
        preexec_fn=_die_with_parent(os.getpid(), signal.SIGTERM),
    )
    return process.wait()


def run_through(
    command: Sequence[str | Path],
    *,
    environ: Mapping[str, str],
    standard_input: str,
    pass_fd: int,
) -> int:
    """Run `command` on our terminal and return its exit code; it gets SIGTERM if we die.

    It inherits `pass_fd`, which is closed here, and our working directory: plugins of TLJH may
    write files there. A signal that ends us is passed on, and we wait for its rollback.
    """
    process = subprocess.Popen(
        [str(word) for word in command],
        env=dict(environ),
        stdin=subprocess.PIPE,
        text=True,
        pass_fds=(pass_fd,),
        preexec_fn=_die_with_parent(os.getpid(), signal.SIGTERM),
    )
    os.close(pass_fd)
    try:
        process.communicate(standard_input)
    except BrokenPipeError:
        pass
    except BaseException as error:
        process.send_signal(error.signal if isinstance(error, Interruption) else signal.SIGTERM)
        process.wait()
        raise
    return process.wait()
