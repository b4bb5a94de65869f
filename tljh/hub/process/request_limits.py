"""Limits of requests at the hub's port: how large a body may be, and how long it may take.

Tornado keeps a whole body in memory before a page sees it. So a large one is read only from a
client that has proven who it is in the headers.
"""

from __future__ import annotations

from typing import Any

from jupyterhub import orm
from jupyterhub.handlers.base import auth_header_pat
from tornado import httputil, web

# The largest form of a visitor, a sign-up, has less than a tenth of it.
ANONYMOUS_BYTES = 64 * 1024


# Lists of thousands of users by the API.
KNOWN_BYTES = 16 * 1024 * 1024


ANONYMOUS_TIMEOUT_S = 30.0


KNOWN_TIMEOUT_S = 600.0


# A connection that sends no request, or half of the headers. The proxy keeps no idle ones.
HEADER_TIMEOUT_S = 60.0


def limit_body(app: Any, connection: Any, headers: httputil.HTTPHeaders) -> None:
    """Limit the body of the request that begins with these headers."""
    is_large = _has_large_body(headers) and _is_known(app, headers)
    connection.set_max_body_size(KNOWN_BYTES if is_large else ANONYMOUS_BYTES)
    connection.set_body_timeout(KNOWN_TIMEOUT_S if is_large else ANONYMOUS_TIMEOUT_S)


def _has_large_body(headers: httputil.HTTPHeaders) -> bool:
    length = headers.get("Content-Length", "")
    return "Transfer-Encoding" in headers or (length.isdigit() and int(length) > ANONYMOUS_BYTES)


def _is_known(app: Any, headers: httputil.HTTPHeaders) -> bool:
    match = auth_header_pat.match(headers.get("Authorization", ""))
    if match:
        return orm.APIToken.find(app.db, match.group(1)) is not None
    cookies = httputil.parse_cookie(headers.get("Cookie", ""))
    name = str(app.hub.cookie_name)
    value = web.decode_signed_value(
        app.cookie_secret, name, cookies.get(name, ""), app.cookie_max_age_days
    )
    if value is None:
        return False
    cookie_id = value.decode("utf-8", "replace")
    user = app.db.query(orm.User).filter(orm.User.cookie_id == cookie_id).first()
    return user is not None
