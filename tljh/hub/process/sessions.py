"""The end of a user's sessions: in all browsers, at all servers, with all copies of a cookie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from jupyterhub.utils import new_token

from tljh.hub.process.planted_cookies import list_deletions

# The client of tokens that users and servers have by themselves, without a login in a browser.
_OWN_CLIENT = "jupyterhub"


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
        # Tornado's `clear_cookie` keeps one header for a name, that of the last path.
        for deletion in list_deletions(handler.request):
            handler.add_header("Set-Cookie", deletion)

    return log_out_everywhere
