"""Standard output and error that may end before the command: a closed pipe, a dropped session."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, cast


class LastingOutput:
    """A text stream that never fails: once it cannot be written, the rest is dropped.

    A failed print must not stop a change half-way. `error` is the first failure; `None` as the
    stream means that it was closed before the program started.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.error: OSError | None = None
        self._is_missing = stream is None
        self._stream = _nowhere() if stream is None else stream

    def write(self, text: str) -> int:
        if self._is_missing and text:
            self.error = self.error or OSError(errno.EBADF, os.strerror(errno.EBADF))
        with self._surviving():
            return self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with self._surviving():
            self._stream.flush()

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            self._give_up()

    def _give_up(self) -> None:
        """Send the rest to /dev/null: what is buffered, and what child processes write."""
        # A stream in memory has no descriptor.
        with contextlib.suppress(OSError), _nowhere() as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


@contextmanager
def lasting_output() -> Iterator[LastingOutput]:
    """Make sys.stdout and sys.stderr lasting during the block; the value is the former.

    Descriptors 0 to 2 that were closed at the start become /dev/null: the next file that is opened
    would get their numbers, and what child processes print would be written into it.
    """
    _fill_standard_descriptors()
    previous = sys.stdin, sys.stdout, sys.stderr
    output, errors = LastingOutput(sys.stdout), LastingOutput(sys.stderr)
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - stays open
    sys.stdout, sys.stderr = cast("TextIO", output), cast("TextIO", errors)
    try:
        yield output
    finally:
        output.flush()
        errors.flush()
        sys.stdin, sys.stdout, sys.stderr = previous


def _fill_standard_descriptors() -> None:
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:  # a lower one is closed, too
                os.dup2(descriptor, number)
                os.close(descriptor)
