"""What a command shows: steps with their seconds, for a terminal or for a log."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

# Writing a small file is no news; a page of such lines hides what takes time.
WORTH_A_LINE_S = 0.1


def counted(count: int, thing: str) -> str:
    """`1 server`, `3 servers`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


class Progress(Protocol):
    """Told of long work as it goes."""

    def note(self, text: str) -> None: ...

    def advance(self, done: float, total: float, what: str = "") -> None:
        """Tell how far the current step is, in any unit."""

    def step(self, title: str) -> AbstractContextManager[None]: ...


class Silent:
    """Shows nothing; for `--json` and tests."""

    def note(self, text: str) -> None:
        pass

    def advance(self, done: float, total: float, what: str = "") -> None:
        pass

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        yield


class Lines:
    """A line for each step that takes a moment, with its seconds; for logs and pipes."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr

    def note(self, text: str) -> None:
        print(f"       {text}", file=self._stream, flush=True)

    def advance(self, done: float, total: float, what: str = "") -> None:
        pass

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        began_s = time.monotonic()
        try:
            yield
        except BaseException:
            print(f"failed {title}", file=self._stream, flush=True)
            raise
        took_s = time.monotonic() - began_s
        if took_s >= WORTH_A_LINE_S:
            print(f"{took_s:.1f} s  {title}", file=self._stream, flush=True)


class Bars:
    """A rich progress bar for the step at hand, a line for each that took a moment."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self._console = Console(stderr=True, highlight=False)
        self._bar = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[what]}"),
            console=self._console,
            transient=True,
        )
        self._task: int | None = None

    def note(self, text: str) -> None:
        self._console.print(f"         {text}", style="dim", markup=False)

    def advance(self, done: float, total: float, what: str = "") -> None:
        if self._task is not None:
            from rich.progress import TaskID

            self._bar.update(TaskID(self._task), completed=done, total=total, what=what[:40])

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        from rich.markup import escape
        from rich.progress import TaskID

        began_s = time.monotonic()
        self._task = self._bar.add_task(escape(title), total=None, what="")
        self._bar.start()
        sign = "[red]✗[/red]"
        try:
            yield
            sign = "[green]✓[/green]"
        finally:
            self._bar.stop()
            self._bar.remove_task(TaskID(self._task))
            self._task = None
            took_s = time.monotonic() - began_s
            if took_s >= WORTH_A_LINE_S or "red" in sign:
                self._console.print(f"{sign} {took_s:5.1f} s {escape(title)}")


class Published:
    """Shows progress as `shown` does, and tells the bootstrap of it: a line of JSON per event.

    The bootstrap keeps them in its log, and shows them on its page. That it may be gone is no
    reason to stop.
    """

    def __init__(self, shown: Progress, stream: TextIO) -> None:
        self._shown = shown
        self._stream = stream

    def _publish(self, **event: object) -> None:
        with contextlib.suppress(OSError):
            print(json.dumps(event), file=self._stream, flush=True)

    def note(self, text: str) -> None:
        self._publish(event="log", line=text)
        self._shown.note(text)

    def failed(self, text: str) -> None:
        """Tell why it all came to nothing; showing it is the business of `tljh.cli.main`."""
        self._publish(event="failed", what=text)

    def advance(self, done: float, total: float, what: str = "") -> None:
        self._shown.advance(done, total, what)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        self._publish(event="step", name=title, state="running")
        began_s = time.monotonic()
        state = "failed"
        try:
            with self._shown.step(title):
                yield
            state = "done"
        finally:
            took_s = round(time.monotonic() - began_s, 1)
            self._publish(event="step", name=title, state=state, seconds=took_s)


def progress_for(stream: TextIO, *, silent: bool = False) -> Progress:
    """Bars on a terminal, lines in a log, nothing when the output is for a program."""
    if silent:
        return Silent()
    return Bars() if stream.isatty() else Lines(stream)
