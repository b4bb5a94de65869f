"""Pages of NativeAuthenticator: the library's, fixed for JupyterHub 6 and with hashing in threads.

NativeAuthenticator 1.3.0 answers 500 to every login under JupyterHub 6, because its login handler
uses `statsd` and a signature of `_render` that JupyterHub no longer has. `NativeLoginHandler` is
the fix; remove it when a release of the library works again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from jupyterhub.handlers.login import LoginHandler
from jupyterhub.scopes import needs_scope
from nativeauthenticator import handlers as native
from tornado import web
from tornado.escape import url_escape

from tljh.hub.process.claim_page import login_notice
from tljh.hub.process.password_hashing import hash_in_thread, matches_hash
from tljh.hub.process.sessions import end_sessions

# The hash of the request's new password. The library's handlers, which cannot wait for a thread,
# find it here when they call `create_user` or `change_password`.
NEW_HASH: ContextVar[bytes | None] = ContextVar("NEW_HASH", default=None)


class NativeLoginHandler(native.LoginHandler):
    """The library's login page with JupyterHub's own handling of logins."""

    post = LoginHandler.post

    def _render(
        self, login_error: str | None = None, username: str | None = None, **more: Any
    ) -> Any:
        """Return the page; an error page, with `sync`, as text, and any other as a coroutine."""
        authenticator = self.authenticator
        context = {
            "next": url_escape(self.get_argument("next", default="")),
            "username": username,
            "login_error": login_error,
            "custom_html": authenticator.custom_html,
            "login_url": self.settings["login_url"],
            "enable_signup": authenticator.enable_signup,
            "two_factor_auth": authenticator.allow_2fa,
            "authenticator_login_url": authenticator.login_url(self.hub.base_url),
        }
        context |= login_notice(self)
        page = self.render_template("native-login.html", **context, **more)
        return _correct_form(page) if isinstance(page, str) else _correct_later(page)


def _correct_form(html: str) -> str:
    """Return the library's form without its attribute `val`, which no browser knows."""
    return html.replace('name="username" val="', 'name="username" value="')


async def _correct_later(page: Awaitable[str]) -> str:
    return _correct_form(await page)


@asynccontextmanager
async def _prepare_hash(password: str) -> AsyncIterator[None]:
    """Hash `password` in a thread; the library's code in the block gets this hash.

    The library would hash it in the event loop, which stops the hub for 0.2 s.
    """
    token = NEW_HASH.set(await hash_in_thread(password))
    try:
        yield
    finally:
        NEW_HASH.reset(token)


class SignUpHandler(native.SignUpHandler):
    """The sign-up page. It hashes the password only if the library is going to store it."""

    async def post(self) -> None:
        authenticator = self.authenticator
        login = authenticator.normalize_username(self.get_body_argument("username", ""))
        password = self.get_body_argument("signup_password", "", strip=False)
        again = self.get_body_argument("signup_password_confirmation", "", strip=False)
        if password != again or not authenticator.accepts_sign_up(login, password):
            # The library refuses it, too, and shows the reason.
            await super().post()
            return
        if login not in authenticator.allowed_users:
            authenticator.count_sign_up(self, login)
        # One sign-up at a time: logins need the same threads, and must not wait for a flood of
        # sign-ups.
        async with authenticator.sign_up_turn, _prepare_hash(password):
            await super().post()


class NativePasswordHandler(native.ChangePasswordHandler):
    """The page on which users change their own password."""

    @web.authenticated
    async def post(self) -> None:
        # The library's own would check the old password in the hub's event loop.
        name = self.current_user.name
        new = self.get_body_argument("new_password", strip=False)
        stored = self.authenticator.stored_password(name)
        old = self.get_body_argument("old_password", strip=False)
        if not await self.authenticator.check_own_password(self, matches_hash(old, stored)):
            message, is_done = "Your current password was incorrect. Please try again.", False
        elif new != self.get_body_argument("new_password_confirmation", strip=False):
            message, is_done = "The two new passwords are not the same. Please try again.", False
        else:
            async with _prepare_hash(new):
                is_done = bool(self.authenticator.change_password(name, new))
            if is_done:
                await end_sessions(self, self.current_user)
                self.set_login_cookie(self.current_user)
            shortest = self.authenticator.shortest_password
            message = (
                "Your password has been changed successfully!"
                if is_done
                else f"Your new password needs at least {shortest} characters, and must not be "
                "a common one."
            )
        html = await self.render_template(
            "change-password.html",
            user_name=name,
            result_message=message,
            alert="alert-success" if is_done else "alert-danger",
        )
        self.finish(html)


class ChangePasswordAdminHandler(native.ChangePasswordAdminHandler):
    """The page on which an admin sets another user's password."""

    @needs_scope("admin:users")
    async def post(self, user_name: str) -> None:
        async with _prepare_hash(self.get_body_argument("new_password", "", strip=False)):
            await super().post(user_name)
        self.authenticator.forget_failures(user_name)


class ToggleAuthorizationHandler(native.ToggleAuthorizationHandler):
    """The button with which an admin authorizes a user who signed up, or ends that.

    The library does it on GET, which any page could make an admin's browser send. A form has the
    token of the page.
    """

    @needs_scope("admin:users")
    async def get(self, slug: str) -> None:
        raise web.HTTPError(405)

    @needs_scope("admin:users")
    async def post(self, slug: str) -> None:
        if self.authenticator.get_user(slug) is None:
            raise web.HTTPError(404)
        await super().get(slug)


class DiscardHandler(native.DiscardHandler):
    """The button with which an admin deletes a sign-up."""

    @needs_scope("admin:users")
    async def get(self, user_name: str) -> None:
        raise web.HTTPError(405)

    @needs_scope("admin:users")
    async def post(self, user_name: str) -> None:
        await super().get(user_name)


# The library's handlers and those in place of them.
OUR_HANDLERS = {
    native.LoginHandler: NativeLoginHandler,
    native.SignUpHandler: SignUpHandler,
    native.ChangePasswordHandler: NativePasswordHandler,
    native.ChangePasswordAdminHandler: ChangePasswordAdminHandler,
    native.ToggleAuthorizationHandler: ToggleAuthorizationHandler,
    native.DiscardHandler: DiscardHandler,
}
