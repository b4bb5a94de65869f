"""Progress of the installation, for the terminal, installer.log and the progress page.

A terminal shows the current step with its seconds; other outputs get a line for each finished
step. installer.log has in addition the output of all programs, without secrets. The progress page
reads the same events as lines of JSON from a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TextIO

# The Littlest JupyterHub's mode of this file, which its own checks of an installation expect.
LOG_MODE = 0o500
_TICK_S = 0.2
_URL_LOGIN = re.compile(r"(\w+://)[^/\s@]+@")


class Redactor:
    """Removes secrets from text: the given ones, and the login in every URL."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first, because one may be part of another. Whole words only: a password such
        # as `admin` occurs in other words, too.
        longest_first = sorted(filter(None, secrets), key=len, reverse=True)
        either = "|".join(re.escape(secret) for secret in longest_first)
        self._secrets = re.compile(rf"(?<![\w-])(?:{either})(?![\w-])") if either else None

    def __call__(self, text: str) -> str:
        if self._secrets is not None:
            text = self._secrets.sub("***", text)
        return _URL_LOGIN.sub(r"\1***@", text)


class Step:
    """A running step; `detail` is shown at the end of its line when it is done."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.detail = ""
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started


class Steps:
    """Prints, logs and publishes steps; an error in doing so never ends an installation."""

    def __init__(self, out: TextIO, redact: Redactor | None = None) -> None:
        self._out = out
        self._live = out.isatty() and os.environ.get("TERM") != "dumb"
        self._redact = redact or Redactor()
        self._log: TextIO | None = None
        self._log_before: list[str] = []
        self._events: Path | None = None
        self._lock = threading.Lock()

    def open_log(self, path: Path) -> None:
        """Start to write to `path`, beginning with all earlier lines."""
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, LOG_MODE)
        os.fchmod(descriptor, LOG_MODE)
        self._log = os.fdopen(descriptor, "a", buffering=1)
        before, self._log_before = self._log_before, []
        for line in before:
            self._write_log(line)

    def open_events(self, path: Path) -> None:
        """Start to append events to `path`, as lines of JSON."""
        self._events = path

    def log(self, text: str) -> None:
        """Write `text` to the log and to the progress page."""
        for line in self._redact(text).splitlines():
            self._stamp(line)
            self.event({"event": "log", "line": line})

    def _write_failure(self, text: str) -> None:
        for line in self._redact(text).splitlines():
            self._stamp(line)

    def _stamp(self, line: str) -> None:
        stamp = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        self._write_log(f"{stamp} {line}")

    def say(self, text: str) -> None:
        """Print a line, and write it to the log."""
        text = self._redact(text)
        with self._lock:
            self._print(text + "\n")
        self.log(text)

    def event(self, event: dict[str, object]) -> None:
        if self._events is not None:
            with contextlib.suppress(OSError), self._events.open("a") as file:
                file.write(json.dumps(event) + "\n")

    def republish(self, stream: TextIO) -> None:
        """Log and publish the events of `tljh install`, which prints them itself."""
        for line in stream:
            with contextlib.suppress(ValueError, AttributeError):
                event = json.loads(line)
                if event.get("event") == "failed":
                    # Only the log gets the reason; main.py publishes the failure itself.
                    self._write_failure(str(event.get("what", "")))
                    continue
                if event.get("event") == "log":
                    self.log(str(event.get("line", "")))
                    continue
                if event.get("state") != "running":
                    self._stamp(
                        f"{event.get('seconds', 0):.1f} s  {event.get('name', '')}  "
                        f"{'' if event.get('state') == 'done' else 'failed'}".rstrip()
                    )
                self.event(event)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Run a block as a step; print its line when it ends, whether or not it failed."""
        step = Step(name)
        self.event({"event": "step", "name": name, "state": "running"})
        ended = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(step, ended), daemon=True)
        if self._live:
            ticker.start()
        state = "failed"
        try:
            yield step
            state = "done"
        finally:
            ended.set()
            if self._live:
                ticker.join()
            self._finish(step, state)

    def _finish(self, step: Step, state: str) -> None:
        detail = self._redact(step.detail if state == "done" else "failed")
        line = f"{step.seconds:6.1f} s  {step.name}" + (f"  {detail}" if detail else "")
        if self._live:
            colour, mark = (32, "✓") if state == "done" else (31, "✗")
            self._print(f"\r\x1b[K\x1b[{colour}m{mark}\x1b[0m{line}\n")
        else:
            self._print(line.strip() + "\n")
        self.log(line.strip())
        self.event(
            {
                "event": "step",
                "name": step.name,
                "state": state,
                "seconds": round(step.seconds, 1),
                "detail": detail,
            }
        )

    def _tick(self, step: Step, ended: threading.Event) -> None:
        while not ended.wait(_TICK_S):
            with self._lock:
                self._print(f"\r\x1b[K {step.seconds:6.1f} s  {step.name} …")

    def _print(self, text: str) -> None:
        # ValueError: the output is closed already.
        with contextlib.suppress(ValueError):
            self._out.write(text)
            self._out.flush()

    def _write_log(self, line: str) -> None:
        if self._log is None:
            self._log_before.append(line)
            return
        with contextlib.suppress(OSError):
            self._log.write(line + "\n")


def standard(json_result: bool, secrets: Iterable[str] = ()) -> Steps:
    """Return steps on standard output; on standard error if the former has a JSON result."""
    return Steps(sys.stderr if json_result else sys.stdout, Redactor(secrets))
