"""The end of a user's sessions: in all browsers, at all servers, with all copies of a cookie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from email.utils import format_datetime
from http.cookies import SimpleCookie
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.utils import new_token

# The client of tokens that users and servers have by themselves, without a login in a browser.
_OWN_CLIENT = "jupyterhub"


# Names of cookies of the hub that a page of a server may have set for a wider path.
_HUB_COOKIES = ("jupyterhub-", "_xsrf", "tljh-")


async def end_sessions(hub: Any, user: Any, *, with_tokens: bool = False) -> None:
    """End all sessions of a user; `with_tokens` also deletes the API tokens.

    `hub` is the hub's application, or a handler of its requests.

    JupyterHub's cookie of a login has the user's `cookie_id`, which changes here. A logout of
    JupyterHub only deletes the cookie in one browser.
    """
    for token in list(user.api_tokens):
        if with_tokens or token.client_id != _OWN_CLIENT:
            hub.db.delete(token)
    user.orm_user.cookie_id = new_token()
    hub.db.commit()
    # A user's server asks the hub about a session once in five minutes; the proxy asks at once.
    renew = getattr(hub.proxy, "renew_entries", None)
    if renew is not None:
        await renew(user.name)


def ending_sessions(log_out: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Wrap JupyterHub's handling of a logout: it ends all sessions of the user."""

    async def log_out_everywhere(handler: Any) -> None:
        user = handler.current_user
        await log_out(handler)
        if user is not None:
            await end_sessions(handler, user)
        delete_planted_cookies(handler)

    return log_out_everywhere


def delete_planted_cookies(handler: BaseHandler) -> None:
    """Delete the cookies that a page of a server may have set for pages of the hub.

    A cookie is deleted for each path by a separate header: Tornado's `clear_cookie` keeps one
    header for a name, that of the last path.
    """
    prefix = str(handler.hub.base_url)
    for name in handler.request.cookies:
        paths = [prefix, prefix.rstrip("/"), handler.request.path]
        if name.startswith(_HUB_COOKIES):
            paths.append(str(handler.base_url))
        for path in dict.fromkeys(paths):
            handler.add_header("Set-Cookie", _deleted_cookie(name, path))


def _deleted_cookie(name: str, path: str) -> str:
    """Return the header that deletes a cookie of a name and a path."""
    cookie: SimpleCookie = SimpleCookie({name: ""})
    cookie[name]["path"] = path
    cookie[name]["expires"] = format_datetime(datetime.fromtimestamp(0, timezone.utc), usegmt=True)
    return cookie[name].OutputString()
