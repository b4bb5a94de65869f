"""Progress of a command: its steps with their seconds, for a terminal, a log or the bootstrap."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO, cast

from tljh.base.output import LastingOutput

# Shorter steps get no line: a page of written small files would hide the steps that take time.
WORTH_A_LINE_S = 0.1


def format_count(count: int, noun: str) -> str:
    """Return a count with its noun, such as `1 server` or `3 servers`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class Progress(Protocol):
    """The receiver of progress reports."""

    def note(self, text: str) -> None:
        """Report a remark within the current step."""

    def advance(self, done: float, total: float, what: str = "") -> None:
        """Report how far the current step is, in any unit."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """Report the block as a step, with its duration and whether it failed."""


class SilentProgress:
    """A receiver that shows nothing; for `--json` and tests."""

    def note(self, text: str) -> None:
        pass

    def advance(self, done: float, total: float, what: str = "") -> None:
        pass

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        yield


class LineProgress:
    """A line for each finished step that took at least `WORTH_A_LINE_S`; for logs and pipes."""

    def __init__(self, stream: TextIO | LastingOutput) -> None:
        self._stream = stream

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
            print(f"failed: {title}", file=self._stream, flush=True)
            raise
        took_s = time.monotonic() - began_s
        if took_s >= WORTH_A_LINE_S:
            print(f"{took_s:.1f} s  {title}", file=self._stream, flush=True)


class BarProgress:
    """A bar for the current step, and a line for each finished one; for terminals."""

    def __init__(self, stream: TextIO | LastingOutput) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self._console = Console(file=cast("TextIO", stream), highlight=False)
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


class PublishedProgress:
    """Reports to `local`, and to the bootstrap: one line of JSON per event on `stream`.

    The bootstrap writes the events to its log and shows them on its progress page.
    """

    def __init__(self, local: Progress, stream: TextIO) -> None:
        self._local = local
        self._stream = stream

    def _publish(self, **event: object) -> None:
        # A bootstrap that was killed must not stop the apply half-way.
        with contextlib.suppress(OSError):
            print(json.dumps(event), file=self._stream, flush=True)

    def note(self, text: str) -> None:
        self._publish(event="log", line=text)
        self._local.note(text)

    def failed(self, text: str) -> None:
        """Report to the bootstrap why the command failed; `tljh.cli.main` prints it."""
        self._publish(event="failed", what=text)

    def advance(self, done: float, total: float, what: str = "") -> None:
        self._local.advance(done, total, what)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        self._publish(event="step", name=title, state="running")
        began_s = time.monotonic()
        state = "failed"
        try:
            with self._local.step(title):
                yield
            state = "done"
        finally:
            took_s = round(time.monotonic() - began_s, 1)
            self._publish(event="step", name=title, state=state, seconds=took_s)


def choose_progress(stream: TextIO, *, silent: bool = False) -> Progress:
    """Return a bar for a terminal, lines for a log or a pipe, nothing if `silent`.

    The work continues when the stream ends.
    """
    if silent:
        return SilentProgress()
    lasting = LastingOutput(stream)
    return BarProgress(lasting) if lasting.isatty() else LineProgress(lasting)
