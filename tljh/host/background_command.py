"""A command that runs in the background until its result is needed."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue

from tljh.base.errors import TljhError
from tljh.base.interruptions import are_held_back
from tljh.host.command_environment import build_command_environment
from tljh.host.interface import Result


class RunningCommand:
    """A process that implements `BackgroundCommand`.

    A thread collects its standard output, and standard error goes to a file, so that the command
    never blocks on a full pipe.
    """

    def __init__(
        self,
        argv: Sequence[str],
        timeout_s: float,
        env: Mapping[str, str] | None,
        stdin: str | None,
    ) -> None:
        self._argv = list(argv)
        self._timeout_s = timeout_s
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with this object
        self._was_waited_for = False
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        # A file, not a pipe: writing to a pipe would block until the command reads.
        with tempfile.TemporaryFile("w+") as input_file:
            input_file.write(stdin or "")
            input_file.seek(0)
            self._process = subprocess.Popen(
                self._argv,
                stdin=input_file,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                encoding="utf-8",
                errors="replace",
                env=build_command_environment(env),
                cwd="/",
                start_new_session=are_held_back(),
            )
        self._watchdog = threading.Timer(timeout_s, self._process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait(self, on_line: Callable[[str], None] | None = None) -> Result:
        self._was_waited_for = True
        lines = []
        try:
            while (line := self._lines.get()) is not None:
                lines.append(line)
                if on_line is not None:
                    on_line(line.rstrip("\n"))
            code = self._process.wait()
        except BaseException:
            self._end()
            raise
        # The timer ends when it has killed the command.
        timed_out = not self._watchdog.is_alive()
        self._watchdog.cancel()
        if timed_out:
            raise TljhError(
                f"{self._argv[0]} did not finish within {self._timeout_s:g} s",
                why=" ".join(self._argv),
                fix="look at what it waits for, then run the command again",
            )
        self._errors.seek(0)
        return Result(code, "".join(lines), self._errors.read())

    def stop(self) -> bool:
        if self._was_waited_for:
            return False
        self._end()
        return True

    def _end(self) -> None:
        self._watchdog.cancel()
        self._process.kill()
        self._process.wait()
        self._reader.join()
