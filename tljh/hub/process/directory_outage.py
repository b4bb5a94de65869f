"""Logins while the server that checks them is down: LDAP, a provider of single sign-on, an API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tornado import web
from tornado.httpclient import HTTPClientError

RETRY_AFTER_S = 30

# Classes of libraries that an authenticator may use, by their names: here none is imported.
_OUTAGES = frozenset(
    (
        # ldap3
        "LDAPCommunicationError",
        "LDAPMaximumRetriesError",
        "LDAPServerPoolError",
        "LDAPServerPoolExhaustedError",
        "LDAPResponseTimeoutError",
        "LDAPStartTLSError",
        "LDAPBusyResult",
        "LDAPUnavailableResult",
        # httpx
        "TransportError",
        # aiohttp
        "ClientConnectionError",
        "ServerTimeoutError",
    )
)


class DirectoryAway(web.HTTPError):
    """Status 503 with a sentence, which JupyterHub shows in its page."""

    def __init__(self) -> None:
        super().__init__(
            503,
            "The server that checks logins does not answer. Try again in a few minutes; if it "
            "goes on, tell an admin of this hub.",
            reason="The login server does not answer",
        )
        self.headers = {"Retry-After": str(RETRY_AFTER_S)}


def is_outage(error: BaseException) -> bool:
    """Return whether an exception of an authenticator means that its server is out of reach."""
    if isinstance(error, (HTTPClientError, OSError, asyncio.TimeoutError)):
        return True
    return any(cls.__name__ in _OUTAGES for cls in type(error).__mro__)


@contextmanager
def report_outages(log: Any) -> Iterator[None]:
    """Turn a failure to reach the login server into DirectoryAway; write the reason to the log."""
    try:
        yield
    except web.HTTPError:
        raise
    except Exception as error:
        # The cause may be hidden: ldap3 raises its own exception while it handles a socket's.
        causes = [error]
        while (cause := causes[-1].__cause__ or causes[-1].__context__) and cause not in causes:
            causes.append(cause)  # type: ignore[arg-type]
        if not any(is_outage(cause) for cause in causes):
            raise
        log.error("The server that checks logins failed: %s: %s", type(error).__name__, error)
        raise DirectoryAway from error
