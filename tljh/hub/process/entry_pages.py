"""The way of a browser into a user's server: requests that the proxy did not pass on come here.

`/user/bob/lab` goes on to `/hub/user/bob/lab`, where the browser sends the hub's session. Bob gets
the cookie of his server and goes back. Other users who may enter see a warning first.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from jupyterhub.handlers.base import BaseHandler, PrefixRedirectHandler, UserUrlHandler
from jupyterhub.user import User
from jupyterhub.utils import url_path_join
from tornado import web
from tornado.web import RequestHandler

from tljh.hub.process.entry import COOKIE
from tljh.hub.process.page_guard import FRAMES
from tljh.hub.process.planted_cookies import list_double_sessions

# Set when a browser is sent back to its server, with the value of that cookie. If it returns within
# that time, the cookie does not reach the proxy, and JupyterHub's own limit of redirections holds.
# With another value, the visitor logged out and in since.
RETURNED = "tljh-entering"


RETURNS_WITHIN_S = 10


def is_of_script(request: Any) -> bool:
    """Return whether a script sent a request, and not a visitor who opened a page."""
    return request.headers.get("Sec-Fetch-Dest", "document") not in ("document", *FRAMES)


def asks(handler: BaseHandler) -> bool:
    """Return whether the proxy asks for the cookie of a server."""
    return bool(getattr(handler.proxy, "asks_before_entry", False))


def set_entry_cookie(handler: BaseHandler, owner: User) -> None:
    """Let the current user's browser into the servers of `owner`."""
    value = handler.proxy.entry_of(handler.current_user, owner.name)
    handler._set_cookie(COOKIE, value, encrypted=False, path=owner.proxy_spec)


def redirect(handler: BaseHandler, url: str, *arguments: Any, **options: Any) -> None:
    """Redirect like Tornado; on the way to a user's own server, set its cookie already."""
    user = getattr(handler, "_jupyterhub_user", None)
    is_own = isinstance(user, User) and f"{urlsplit(url).path}/".startswith(user.proxy_spec)
    if is_own and asks(handler):
        set_entry_cookie(handler, user)
    RequestHandler.redirect(handler, url, *arguments, **options)


class OutsideHandler(PrefixRedirectHandler):
    """`/user/…` that the proxy did not pass to a server: go on where the hub's session is sent."""

    def redirect(self, url: str, permanent: bool = False, status: int | None = None) -> None:
        if self.request.method not in ("GET", "HEAD"):
            # The browser repeats the method and the body.
            status = 307
        for deletion in list_double_sessions(self.request):
            self.add_header("Set-Cookie", deletion)
        super().redirect(url, permanent, status)

    def check_xsrf_cookie(self) -> None:
        """Do nothing: the request changes nothing here."""

    head = post = put = patch = delete = PrefixRedirectHandler.get


class EnteringHandler(UserUrlHandler):
    """`/hub/user/NAME/…`: JupyterHub's own page, with the cookie or the warning before a server."""

    def check_xsrf_cookie(self) -> None:
        """Do nothing: the request changes nothing here, and carries the token of a server."""

    async def get(self, user_name: str, user_path: str | None) -> None:
        if is_of_script(self.request) and not self._is_own_ready(user_name, user_path):
            # A page of the hub has the visitor's token in it, and no script gets one.
            self._refuse(user_name)
            return
        # None where the visitor has to log in first.
        if (work := super().get(user_name, user_path)) is not None:
            await work

    async def non_get(self, user_name: str, user_path: str | None) -> None:
        if self._is_own_ready(user_name, user_path) and not self._has_returned(self.current_user):
            self._send_back(self.current_user, status=307)
            return
        self._refuse(user_name)

    post = put = patch = delete = non_get

    def _spawner(self, user_name: str, user_path: str | None) -> Any:
        user = self.find_user(user_name)
        if user is None:
            return None
        name = (user_path or "/").lstrip("/").split("/", 1)[0]
        has_name = self.allow_named_servers and name in user.orm_user.orm_spawners
        return user.spawners[name if has_name else ""]

    def _is_own_ready(self, user_name: str, user_path: str | None) -> bool:
        user = self.current_user
        if not isinstance(user, User) or user.name != user_name:
            return False
        return bool(self._spawner(user_name, user_path).ready)

    def _refuse(self, user_name: str) -> None:
        user = self.find_user(user_name)
        spawners = list(user.spawners.values()) if user is not None else []
        if not any(spawner.ready for spawner in spawners):
            self._fail_api_request(user_name)
            return
        self.set_status(403)
        self.set_header("Content-Type", "application/json")
        self.finish({"message": "Open the server's page in the browser first, and log in."})

    def _has_returned(self, owner: User) -> bool:
        """Return whether the browser was sent back a moment ago; a page cannot plant that."""
        days = RETURNS_WITHIN_S / 86400
        entry = self.proxy.entry_of(self.current_user, owner.name)
        return bool(self.get_secure_cookie(RETURNED, max_age_days=days) == entry.encode())

    def _send_back(self, owner: User, status: int = 302) -> None:
        set_entry_cookie(self, owner)
        self.set_secure_cookie(
            RETURNED,
            self.proxy.entry_of(self.current_user, owner.name),
            expires_days=None,
            path=self.request.path,
            max_age=RETURNS_WITHIN_S,
        )
        without_prefix = self.request.uri[len(self.hub.base_url) :]
        self.redirect(url_path_join(self.base_url, without_prefix), status=status)

    async def _redirect_to_user_server(self, user: Any, spawner: Any) -> None:
        visitor = self.current_user
        is_admitted = not asks(self) or not isinstance(visitor, User)
        if is_admitted or self._has_returned(user):
            await super()._redirect_to_user_server(user, spawner)
        elif user.name == visitor.name or visitor.name in self.proxy.visitors(user.name):
            self._send_back(user)
        else:
            html = await self.render_template(
                "enter.html",
                owner=user.name,
                server_name=spawner.name,
                is_admin=visitor.admin,
                next=self.request.uri[len(self.hub.base_url) :],
                action=url_path_join(self.hub.base_url, "enter"),
            )
            self.finish(html)

    def write_error(self, status_code: int, **more: Any) -> Any:
        if is_of_script(self.request):
            return self.finish({"message": self._reason})
        return super().write_error(status_code, **more)


class EnterHandler(BaseHandler):
    """`/hub/enter`: the button of the warning."""

    @web.authenticated
    async def post(self) -> None:
        name = self.get_body_argument("user", "")
        server_name = self.get_body_argument("server", "")
        if not self.has_scope(f"access:servers!server={name}/{server_name}"):
            raise web.HTTPError(404)
        owner = self.find_user(name)
        spawner = owner.spawners.get(server_name) if owner is not None else None
        if spawner is None or not spawner.ready or not asks(self):
            raise web.HTTPError(404, "This server is not running.")
        target = url_path_join(self.base_url, self.get_body_argument("next", ""))
        if not target.startswith(spawner.proxy_spec):
            target = spawner.proxy_spec
        visitor = self.current_user
        await self.proxy.admit(name, visitor.name)
        self.log.warning("%s enters the server of %s, after the warning", visitor.name, name)
        set_entry_cookie(self, owner)
        self.redirect(target)


HANDLERS = [
    (r"/user/(?P<user_name>[^/]+)(?P<user_path>/.*)?", EnteringHandler),
    (r"/enter", EnterHandler),
]
