"""Requests while the hub's database is away, full or locked: 503, never 403.

JupyterHub answers 403 when it cannot look up a token. Users' servers believe that for five minutes
and turn their users away. So the database is asked before a request's user is, and every answer
without it is 503 with Retry-After.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
)

from tljh.hub.process.database_connections import describe

RETRY_AFTER_S = 2

# After a failure, requests are refused without another attempt: an attempt can take seconds, in
# which the hub answers nothing.
PAUSE_S = 0.5

# Its page asks again by itself.
PAGE = f"""<!doctype html>
<meta charset="utf-8"><meta http-equiv="refresh" content="{RETRY_AFTER_S}">
<title>The hub is waiting for its database</title>
<p>The hub is waiting for its database. This page tries again by itself; running servers and
notebooks go on.</p>
"""
SENTENCE = "The hub's database does not answer. Try again in a few seconds."

_OUTAGES = (OperationalError, InterfaceError, InternalError, PendingRollbackError)


class Watch:
    """The state of the database, as the last requests saw it."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._failed_s: float | None = None

    def is_there(self, session: Any) -> bool:
        """Return whether the database answers; a lost connection is replaced."""
        if self._failed_s is not None and time.monotonic() - self._failed_s < PAUSE_S:
            return False
        # The first attempt may meet a connection that ended with the server's restart.
        for _ in range(2):
            try:
                session.execute(text("SELECT 1"))
            except SQLAlchemyError as error:
                reason = error
                _roll_back(session)
                continue
            if self._failed_s is not None:
                self._log.warning("The hub's database answers again")
            self._failed_s = None
            return True
        self.report(reason)
        return False

    def report(self, error: SQLAlchemyError) -> None:
        """Remember a failure, and write the first of a row to the log."""
        if self._failed_s is None:
            reason = describe(error) if isinstance(error, DBAPIError) else str(error)
            self._log.error("The hub's database does not answer: %s", reason)
        self._failed_s = time.monotonic()


def _roll_back(session: Any) -> None:
    try:
        session.rollback()
    except SQLAlchemyError:
        # The connection is gone, and with it the transaction.
        session.invalidate()


def answer(handler: Any) -> None:
    """Answer a request with 503: a page for browsers, JSON for programs."""
    handler.clear()
    handler.set_status(503)
    handler.set_header("Retry-After", str(RETRY_AFTER_S))
    handler.set_header("Cache-Control", "no-store")
    if "text/html" in handler.request.headers.get("Accept", ""):
        handler.set_header("Content-Type", "text/html; charset=utf-8")
        handler.finish(PAGE)
    else:
        handler.finish({"status": 503, "message": SENTENCE})


def guard_handlers(handler_class: Any, watch: Watch) -> None:
    """Have all of JupyterHub's handlers answer 503 while the database is away."""
    prepare: Callable[[Any], Awaitable[None]] = handler_class.prepare
    get_current_user: Callable[[Any], Awaitable[Any]] = handler_class.get_current_user
    handle_exception: Callable[[Any, BaseException], None] = handler_class._handle_request_exception

    async def find_user(handler: Any) -> Any:
        try:
            return await get_current_user(handler)
        except _OUTAGES as error:
            # JupyterHub takes it for a request without a user, and answers 403.
            handler.lost_database = error
            raise

    async def ask_first(handler: Any) -> None:
        if not watch.is_there(handler.db):
            answer(handler)
            return
        try:
            await prepare(handler)
        finally:
            lost = getattr(handler, "lost_database", None)
            if lost is not None:
                watch.report(lost)
                if not handler._finished:
                    answer(handler)

    def handle(handler: Any, error: BaseException) -> None:
        if isinstance(error, _OUTAGES) and not handler._headers_written:
            watch.report(error)
            _roll_back(handler.db)
            answer(handler)
            return
        handle_exception(handler, error)

    handler_class.prepare = ask_first
    handler_class.get_current_user = find_user
    handler_class._handle_request_exception = handle
