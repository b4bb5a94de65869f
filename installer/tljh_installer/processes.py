"""Run other programs: they die with this one, inherit nothing, and their output is logged."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tljh_installer.steps import Steps

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: between fork and exec there is no room for surprises.
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent(parent: int, how: signal.Signals) -> Callable[[], None]:
    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(how))
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)

    return prepare


@dataclass(frozen=True)
class Ended:
    """A program that has ended: its code, and all that it said."""

    code: int
    output: str
    stdout: str = ""


def run_logged(
    steps: Steps,
    command: Sequence[str | Path],
    *,
    environ: Mapping[str, str],
    timeout_s: float = 1800,
) -> Ended:
    """Run `command` with its output in the log; it gets SIGKILL if this process dies."""
    words = [str(word) for word in command]
    steps.log("$ " + " ".join(words))
    try:
        ended = subprocess.run(
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
        return Ended(-1, f"{words[0]} was stopped: it did not end within {timeout_s:.0f} seconds")
    except OSError as error:
        return Ended(-1, f"{words[0]} could not be started: {error.strerror}")
    output = ended.stderr + ended.stdout
    steps.log(output)
    return Ended(ended.returncode, output.strip(), ended.stdout)


@contextmanager
def beside(
    steps: Steps, command: Sequence[str | Path], *, environ: Mapping[str, str], timeout_s: int
) -> Iterator[None]:
    """Let `command`, which has nothing to say, run until this block is done and it is, too.

    It ends with all that it started when the block fails, when this process dies, and at its
    deadline: an apt-get that is left behind keeps its lock from everybody.
    """
    # It passes a SIGTERM on to all of them; SIGKILL would take itself alone.
    words = ["timeout", "--kill-after=5", str(timeout_s), *map(str, command)]
    steps.log("$ " + " ".join(words) + " &")
    running = subprocess.Popen(
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
        running.wait()
    finally:
        running.terminate()
        running.wait()


def run_through(
    command: Sequence[str | Path],
    *,
    environ: Mapping[str, str],
    standard_input: str,
    pass_fd: int,
) -> int:
    """Run `command` with our own terminal; it is asked to stop (and to undo) if we die.

    Ctrl-C reaches it directly, so this waits for what it makes of it. `pass_fd` goes to it,
    and is closed here. It works where we were called: plugins of TLJH may write files there.
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
        # Ctrl-C has reached it already; a second signal could cut its undoing short.
        if not isinstance(error, KeyboardInterrupt):
            process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    return process.wait()
