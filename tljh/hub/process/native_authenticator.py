"""NativeAuthenticator with what it needs to work under JupyterHub 6, and without its gaps.

Version 1.3.0 answers 500 to every login there (its handler wants a `statsd` and a `_render`
that JupyterHub no longer has). Login pages are JupyterHub's own below, which is all of the
mending: when a release works again, remove `NativeLoginHandler`.

What stays ours: hashing off the event loop and after everything else was looked at, claims for
administrators' names, and that being listed in `users.allowed` authorises for as long as the name
is listed, not for ever.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from jupyterhub.handlers.login import LoginHandler
from jupyterhub.scopes import needs_scope
from nativeauthenticator import NativeAuthenticator
from nativeauthenticator import handlers as native
from nativeauthenticator.orm import UserInfo
from tornado import web
from tornado.escape import url_escape

from tljh.host.password_store import hash_password
from tljh.hub.process.claim_page import Claimable, ClaimHandler
from tljh.hub.process.password_hashing import hashed, matches
from tljh.users.declared_access import listed_before

# Made in a thread before the library's own handlers ask for it.
_HASH: ContextVar[bytes | None] = ContextVar("_HASH", default=None)


class NativeLoginHandler(native.LoginHandler):
    """The library's login page, driven by JupyterHub's own handling of logins."""

    post = LoginHandler.post

    def _render(
        self, login_error: str | None = None, username: str | None = None, **more: Any
    ) -> Any:
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
        return self.render_template("native-login.html", **context, **more)


@asynccontextmanager
async def _with_hash_of(password: str) -> AsyncIterator[None]:
    """The hash of `password` is there for the library's code below."""
    token = _HASH.set(await hashed(password))
    try:
        yield
    finally:
        _HASH.reset(token)


class SignUpHandler(native.SignUpHandler):
    """Sign-up; the password is hashed before the library asks for the hash, if it will ask."""

    async def post(self) -> None:
        authenticator = self.authenticator
        login = authenticator.normalize_username(self.get_body_argument("username", ""))
        password = self.get_body_argument("signup_password", "", strip=False)
        again = self.get_body_argument("signup_password_confirmation", "", strip=False)
        if password != again or not authenticator.takes_sign_up(login, password):
            # The library says why.
            await super().post()
            return
        if login not in authenticator.allowed_users:
            authenticator.count_sign_up(self, login)
        # One at a time: others log in meanwhile, which takes the same threads.
        async with authenticator.sign_up_turn, _with_hash_of(password):
            await super().post()


class ChangePasswordHandler(native.ChangePasswordHandler):
    """Somebody changes the password that they logged in with."""

    @web.authenticated
    async def post(self) -> None:
        # The library's own would check the old password in the hub's event loop.
        name = self.current_user.name
        new = self.get_body_argument("new_password", strip=False)
        kept = self.authenticator.get_user(name)
        old = self.get_body_argument("old_password", strip=False)
        if kept is None or not await matches(old, kept.password):
            message, is_done = "Your current password was incorrect. Please try again.", False
        elif new != self.get_body_argument("new_password_confirmation", strip=False):
            message, is_done = "The two new passwords are not the same. Please try again.", False
        else:
            async with _with_hash_of(new):
                is_done = bool(self.authenticator.change_password(name, new))
            shortest = self.authenticator.shortest_password
            message = (
                "Your password has been changed successfully!"
                if is_done
                else f"Your new password needs at least {shortest} characters, and must not be "
                "one that many people have."
            )
        html = await self.render_template(
            "change-password.html",
            user_name=name,
            result_message=message,
            alert="alert-success" if is_done else "alert-danger",
        )
        self.finish(html)


class ChangePasswordAdminHandler(native.ChangePasswordAdminHandler):
    """An administrator sets somebody's password."""

    @needs_scope("admin:users")
    async def post(self, user_name: str) -> None:
        async with _with_hash_of(self.get_body_argument("new_password", "", strip=False)):
            await super().post(user_name)


def _refuse_from_elsewhere(handler: Any) -> None:
    # The library changes things on GET, which a link on any page could make a browser do.
    if handler.request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise web.HTTPError(403, "Open the page of authorizations, and click there.")


class ToggleAuthorizationHandler(native.ToggleAuthorizationHandler):
    """Authorises somebody who signed up, or takes it back."""

    @needs_scope("admin:users")
    async def get(self, slug: str) -> None:
        _refuse_from_elsewhere(self)
        if self.authenticator.get_user(slug) is None:
            raise web.HTTPError(404)
        await super().get(slug)


class DiscardHandler(native.DiscardHandler):
    """Forgets somebody who signed up."""

    @needs_scope("admin:users")
    async def get(self, user_name: str) -> None:
        _refuse_from_elsewhere(self)
        await super().get(user_name)


OURS = {
    native.LoginHandler: NativeLoginHandler,
    native.SignUpHandler: SignUpHandler,
    native.ChangePasswordHandler: ChangePasswordHandler,
    native.ChangePasswordAdminHandler: ChangePasswordAdminHandler,
    native.ToggleAuthorizationHandler: ToggleAuthorizationHandler,
    native.DiscardHandler: DiscardHandler,
}


class ClaimedNativeAuthenticator(NativeAuthenticator, Claimable):
    """NativeAuthenticator whose administrators' names cannot be signed up for."""

    # The library adds them to the environment of ordinary pages only, not to that of errors.
    template_dirs = (native.TEMPLATE_DIR,)

    @property
    def shortest_password(self) -> int:
        return int(self.minimum_password_length)

    def validate_username(self, username: str) -> bool:
        """As JupyterHub says; the library refuses spaces, which accounts and routes here take."""
        return bool(Authenticator.validate_username(self, username))

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.sign_up_turn = asyncio.Lock()
        self._settle_sign_ups_of_administrators()

    def _settle_sign_ups_of_administrators(self) -> None:
        """What somebody signed up with counts for an administrator if it counted before.

        Anybody may sign up by a name and wait, unauthorized, until it becomes an
        administrator's.
        """
        listed = listed_before(Path(self.claims_dir).parent)
        for login in self.admin_users:
            user = self.get_user(login)
            if user is None or user.is_authorized:
                continue
            if login in listed:
                user.is_authorized = True
            else:
                self.log.warning("nobody authorized who signed up as %s: forgotten", login)
                self.db.delete(user)
        self.db.commit()

    def _is_let_in(self, user: Any) -> bool:
        if user.is_authorized or user.username in self.admin_users:
            return bool(user.is_authorized)
        return bool(self.open_signup) or user.username in self.allowed_users

    def check_allowed(self, username: str, authentication: Any = None) -> bool:
        """Whoever got through `authenticate` was authorised there."""
        return True

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        login = self.normalize_username(data["username"])
        user = self.get_user(login)
        if user is None:
            return None
        if not await matches(data["password"], user.password):
            return None
        if user.has_2fa and not user.is_valid_token(data.get("2fa") or ""):
            return None
        if not self._is_let_in(user):
            raise web.HTTPError(403, f"{login} has not been authorized by an administrator yet.")
        return login

    def takes_sign_up(self, login: str, password: str) -> bool:
        if not self.enable_signup or login in self.admin_users:
            # An administrator's way in is the claim link alone.
            return False
        acceptable = self.validate_username(login) and self.is_password_strong(password)
        return bool(acceptable and not self.user_exists(login))

    def create_user(self, username: str, password: str, **more: Any) -> Any:
        login = self.normalize_username(username)
        if not self.takes_sign_up(login, password):
            return None
        made = self._new_user(login, _HASH.get() or hash_password(password), **more)
        if made is not None and self.allow_self_approval_for and login not in self.allowed_users:
            self._ask_for_approval(made)
        return made

    def _new_user(self, login: str, password: bytes, **more: Any) -> Any:
        try:
            made = UserInfo(username=login, password=password, **more)
        except AssertionError:
            # Its e-mail address is none.
            return None
        made.is_authorized = bool(self.open_signup)
        self.db.add(made)
        self.db.commit()
        return made

    def _ask_for_approval(self, made: Any) -> None:
        if not self.open_signup and re.match(self.allow_self_approval_for, made.email or ""):
            self.send_approval_email(made.email, self.generate_approval_url(made.username))
            made.login_email_sent = True
            self.db.commit()

    def change_password(self, username: str, new_password: str) -> bool | None:
        user = self.get_user(username)
        if user is None or not self.is_password_strong(new_password):
            return None
        user.password = _HASH.get() or hash_password(new_password)
        self.db.commit()
        return True

    async def set_claimed_password(self, login: str, password: str) -> None:
        made = await hashed(password)
        user = self.get_user(login)
        if user is None:
            user = self._new_user(login, made)
        user.password = made
        user.is_authorized = True
        self.db.commit()

    def get_handlers(self, app: Any) -> list[tuple[str, Any]]:
        handlers = [(path, OURS.get(cls, cls)) for path, cls in super().get_handlers(app)]
        return [*handlers, (r"/claim", ClaimHandler)]


__all__ = ["ClaimedNativeAuthenticator"]
