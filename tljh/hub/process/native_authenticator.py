"""NativeAuthenticator, fixed for JupyterHub 6, with claim links and hashing in threads.

NativeAuthenticator 1.3.0 answers 500 to every login under JupyterHub 6, because its login handler
uses `statsd` and a signature of `_render` that JupyterHub no longer has. `NativeLoginHandler` is
the fix; remove it when a release of the library works again.

The rest is not a fix and stays:

- Passwords are hashed outside the event loop, and only after all cheaper checks.
- An admin's name cannot be signed up for: the first password is set with a claim link.
- A name in `users.allowed` is authorized as long as it is listed. The library would authorize it
  for ever at its sign-up.
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
from jupyterhub.orm import User
from jupyterhub.scopes import needs_scope
from nativeauthenticator import NativeAuthenticator
from nativeauthenticator import handlers as native
from nativeauthenticator.orm import UserInfo
from tornado import web
from tornado.escape import url_escape

from tljh.base.paths import paths_from_environment
from tljh.host.password_store import hash_password, read_hash, read_logins, store_hash
from tljh.hub.process.access_records import has_account
from tljh.hub.process.claim_page import Claimable, ClaimHandler
from tljh.hub.process.password_hashing import hashed, matches
from tljh.users.declared_access import listed_before

# The hash of the request's new password. The library's handlers, which cannot wait for a thread,
# find it here when they call `create_user` or `change_password`.
_HASH: ContextVar[bytes | None] = ContextVar("_HASH", default=None)


class NativeLoginHandler(native.LoginHandler):
    """The library's login page with JupyterHub's own handling of logins."""

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
    """Hash `password` in a thread and provide the hash to the library's code in the block."""
    token = _HASH.set(await hashed(password))
    try:
        yield
    finally:
        _HASH.reset(token)


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
        async with authenticator.sign_up_turn, _with_hash_of(password):
            await super().post()


class NativePasswordHandler(native.ChangePasswordHandler):
    """The page on which users change their own password."""

    @web.authenticated
    async def post(self) -> None:
        # The library's own would check the old password in the hub's event loop.
        name = self.current_user.name
        new = self.get_body_argument("new_password", strip=False)
        user = self.authenticator.get_user(name)
        old = self.get_body_argument("old_password", strip=False)
        if user is None or not await matches(old, user.password):
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
        async with _with_hash_of(self.get_body_argument("new_password", "", strip=False)):
            await super().post(user_name)


def _refuse_cross_site(handler: Any) -> None:
    # The library's links change users on GET. A link on any other site could make an admin's
    # browser do that, so only requests from the hub's own pages are accepted.
    if handler.request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise web.HTTPError(403, "This link works only on the hub's page of authorizations.")


class ToggleAuthorizationHandler(native.ToggleAuthorizationHandler):
    """The link with which an admin authorizes a user who signed up, or ends that."""

    @needs_scope("admin:users")
    async def get(self, slug: str) -> None:
        _refuse_cross_site(self)
        if self.authenticator.get_user(slug) is None:
            raise web.HTTPError(404)
        await super().get(slug)


class DiscardHandler(native.DiscardHandler):
    """The link with which an admin deletes a sign-up."""

    @needs_scope("admin:users")
    async def get(self, user_name: str) -> None:
        _refuse_cross_site(self)
        await super().get(user_name)


OUR_HANDLERS = {
    native.LoginHandler: NativeLoginHandler,
    native.SignUpHandler: SignUpHandler,
    native.ChangePasswordHandler: NativePasswordHandler,
    native.ChangePasswordAdminHandler: ChangePasswordAdminHandler,
    native.ToggleAuthorizationHandler: ToggleAuthorizationHandler,
    native.DiscardHandler: DiscardHandler,
}


class ClaimedNativeAuthenticator(NativeAuthenticator, Claimable):
    """NativeAuthenticator whose admins set their first password with a claim link."""

    # The library adds its templates to the environment of normal pages only. The pages of errors,
    # such as a failed login, need them too; the hub adds these directories to both.
    template_dirs = (native.TEMPLATE_DIR,)

    @property
    def shortest_password(self) -> int:
        return int(self.minimum_password_length)

    def validate_username(self, username: str) -> bool:
        """Apply JupyterHub's rules only.

        The library refuses spaces in addition, which accounts and routes of tljh support.
        """
        return bool(Authenticator.validate_username(self, username))

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.sign_up_turn = asyncio.Lock()
        self._settle_sign_ups_of_admins()
        self._import_first_use_passwords()

    def add_data_from_firstuse(self) -> None:
        """Do nothing: the library would hash the hashes again; ours are imported as they are."""

    def _import_first_use_passwords(self) -> None:
        """Give users who had a password with first use the same one here.

        Only names that may log in: a listed one, or one with a record in the hub.
        """
        path = Path(self.firstuse_db_path)
        listed = self.admin_users | self.allowed_users
        imported = []
        for login in read_logins(path):
            password = read_hash(path, login)
            if password is None or self.get_user(login) is not None:
                continue
            if login not in listed and User.find(self.db, login) is None:
                continue
            user = UserInfo(username=login, password=password)
            user.is_authorized = True
            self.db.add(user)
            imported.append(login)
        self.db.commit()
        if imported:
            self.log.info("imported the first-use passwords of %i users", len(imported))

    def stored_password(self, login: str) -> bytes | None:
        user = self.get_user(login)
        return user.password if user is not None else None

    def delete_user(self, user: Any) -> None:
        super().delete_user(user)
        # Otherwise the next start would import the password of a deleted user.
        store_hash(Path(self.firstuse_db_path), user.name, None)

    def _settle_sign_ups_of_admins(self) -> None:
        """Authorize or delete waiting sign-ups whose name has become an admin's.

        Anyone can sign up with any name that is free, and wait until it becomes an admin's. So
        such a sign-up counts only if the name was in users.allowed before: then it belongs to
        that user. Any other is deleted, and the admin gets a claim link.
        """
        listed = listed_before(paths_from_environment().ledger)
        for login in self.admin_users:
            user = self.get_user(login)
            if user is None or user.is_authorized:
                continue
            if login in listed:
                user.is_authorized = True
            else:
                self.log.warning("deleted the sign-up of %s, which was not authorized", login)
                self.db.delete(user)
        self.db.commit()

    def _may_log_in(self, user: Any) -> bool:
        if user.is_authorized or user.username in self.admin_users:
            return bool(user.is_authorized)
        return bool(self.open_signup) or user.username in self.allowed_users

    def check_allowed(self, username: str, authentication: Any = None) -> bool:
        """Return True: `authenticate` has refused users who are not authorized."""
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
        if not self._may_log_in(user):
            raise web.HTTPError(403, f"{login} has not been authorized by an admin yet.")
        return login

    def accepts_sign_up(self, login: str, password: str) -> bool:
        """Return whether a sign-up would be stored: allowed, free name, good password."""
        # A name with admin rights, or one whose home exists, needs a claim link: a sign-up would
        # give it to the first visitor.
        if not self.enable_signup or self.needs_claim(login) or has_account(login):
            return False
        acceptable = self.validate_username(login) and self.is_password_strong(password)
        return bool(acceptable and not self.user_exists(login))

    def create_user(self, username: str, password: str, **more: Any) -> Any:
        login = self.normalize_username(username)
        if not self.accepts_sign_up(login, password):
            return None
        user = self._new_user(login, _HASH.get() or hash_password(password), **more)
        if user is not None and self.allow_self_approval_for and login not in self.allowed_users:
            self._request_approval(user)
        return user

    def _new_user(self, login: str, password: bytes, **more: Any) -> Any:
        try:
            user = UserInfo(username=login, password=password, **more)
        except AssertionError:
            # The library checks the e-mail address with an assertion.
            return None
        user.is_authorized = bool(self.open_signup)
        self.db.add(user)
        self.db.commit()
        return user

    def _request_approval(self, user: Any) -> None:
        if not self.open_signup and re.match(self.allow_self_approval_for, user.email or ""):
            self.send_approval_email(user.email, self.generate_approval_url(user.username))
            user.login_email_sent = True
            self.db.commit()

    def change_password(self, username: str, new_password: str) -> bool | None:
        user = self.get_user(username)
        if user is None or not self.is_password_strong(new_password):
            return None
        user.password = _HASH.get() or hash_password(new_password)
        self.db.commit()
        return True

    async def set_claimed_password(self, login: str, password: str) -> None:
        password_hash = await hashed(password)
        user = self.get_user(login)
        if user is None:
            user = self._new_user(login, password_hash)
        user.password = password_hash
        user.is_authorized = True
        self.db.commit()

    def get_handlers(self, app: Any) -> list[tuple[str, Any]]:
        handlers = [(path, OUR_HANDLERS.get(cls, cls)) for path, cls in super().get_handlers(app)]
        return [*handlers, (r"/claim", ClaimHandler)]


__all__ = ["ClaimedNativeAuthenticator"]
