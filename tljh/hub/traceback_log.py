"""The last error in a log of Python: the exception, and the line of the file that caused it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from tljh.base.errors import Place

_FRAME = re.compile(r'\s*File "(?P<path>[^"]+)", line (?P<line>\d+)(?:, in .*)?')
_START = "Traceback (most recent call last):"
# The last line of a traceback, such as `jinja2.exceptions.TemplateSyntaxError: unexpected char`.
_EXCEPTION = re.compile(r"\s*(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:: .*)?")


@dataclass(frozen=True)
class LoggedError:
    """An exception in a log; `place` is a template, or else the innermost line of code."""

    text: str
    place: Place | None


def find_last_error(log: str) -> LoggedError | None:
    """Return the last exception of a log that has its traceback; None if there is none."""
    before, start, block = log.rpartition(_START)
    if not start:
        return None
    # tornado indents the lines of a message below its first one.
    indent = before.rpartition("\n")[2]
    frames: list[Place] = []
    text = ""
    for line in (line.removeprefix(indent) for line in block.splitlines()):
        frame = _FRAME.fullmatch(line)
        if frame:
            frames.append(Place(frame["path"], int(frame["line"])))
        elif frames and not line.startswith("    ") and _EXCEPTION.fullmatch(line):
            text = line.strip()
            break
    if not text:
        return None
    templates = [frame for frame in frames if PurePath(frame.path).suffix != ".py"]
    places = templates or frames
    return LoggedError(text, places[-1] if places else None)
