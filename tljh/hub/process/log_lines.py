"""Lines of the hub's log: without what is secret in addresses, and one line for one message.

A claim link, an API token or a code of a login is in the query of an address, under any name and
encoded in any way. So whole queries are cut, but those of the REST API, whose filters help to read
the log: they are masked by name. What clients send may contain line breaks and escape
sequences of terminals: without this, it could look like another message of the hub.
"""

from __future__ import annotations

import logging
import re

from jupyterhub.log import coroutine_traceback

from tljh.base.control_characters import escape_controls
from tljh.hub.process.log_redaction import redact_address

# A path or an address, and its query up to the end of the word.
_ADDRESS = re.compile(r"([^\s'\"<>`?]*[\w/%.~\-)\]])\?([^\s'\"<>`]+)")


_API = re.compile(r"/hub/api/(?!oauth2/)")


CUT = "?[cut]"


def one_line(text: str) -> str:
    """Return a text without queries of addresses, with its control characters escaped."""
    return escape_controls(without_queries(text))


def without_queries(text: str) -> str:
    return _ADDRESS.sub(_shorten, text)


def _shorten(match: re.Match[str]) -> str:
    return redact_address(match[0]) if _API.search(match[1]) else match[1] + CUT


class SafeLines(logging.Filter):
    """A filter that makes each record one line; a traceback keeps its lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            message = record.getMessage()
        except Exception:
            # The handler reports it, as it does without the filter.
            return True
        record.msg, record.args = one_line(message), ()
        if record.exc_info and not record.exc_text:
            text = "".join(coroutine_traceback(*record.exc_info))
            # The formatter indents these lines, so they begin no message.
            record.exc_text = "\n".join(map(one_line, text.split("\n")))
        return True


def make_lines_safe() -> None:
    """Filter all handlers of this process's log."""
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    for logger in loggers:
        for handler in logger.handlers:
            if not any(isinstance(existing, SafeLines) for existing in handler.filters):
                handler.addFilter(SafeLines())
