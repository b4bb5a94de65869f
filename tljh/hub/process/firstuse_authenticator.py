"""FirstUseAuthenticator, where an admin's first password needs a claim link.

The library gives a name to the first visitor who logs in with it. For an admin's name that
visitor would get root. Passwords are hashed in threads: a hash takes 0.2 s on purpose, and the
hub's event loop must not stop for that long.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from firstuseauthenticator.firstuseauthenticator import (
    CustomLoginHandler,
    FirstUseAuthenticator,
)
from jupyterhub.auth import Authenticator
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.login import LoginHandler
from tornado import web

from tljh.host.password_store import hash_password, read_hash, store_first_hash, store_hash
from tljh.hub.process.claim_page import (
    HAS_NO_PASSWORD,
    ClaimableAuthenticator,
    ClaimHandler,
    login_notice,
)
from tljh.hub.process.password_hashing import hash_in_thread, matches_hash, run_in_hashing_thread
from tljh.hub.process.sessions import end_sessions


class FirstUseLoginHandler(CustomLoginHandler):
    """The login page, with the authenticator's own message if it has one."""

    def _render(
        self, login_error: str | None = None, username: str | None = None, **more: Any
    ) -> Any:
        # JupyterHub passes more arguments than FirstUseAuthenticator 1.1 accepts in its own
        # `_render`, which would answer a failed login with 500. So that one is skipped.
        reason = self.custom_login_error or login_error
        return LoginHandler._render(self, reason, username, **login_notice(self), **more)


class FirstUsePasswordHandler(BaseHandler):
    """The page on which users change their own password."""

    @web.authenticated
    async def get(self) -> None:
        await self._show()

    @web.authenticated
    async def post(self) -> None:
        authenticator, user = self.authenticator, self.current_user
        old = self.get_body_argument("old_password", "", strip=False)
        new = self.get_body_argument("password", strip=False)
        stored = authenticator.stored_password(user.name)
        if not await authenticator.check_own_password(self, matches_hash(old, stored)):
            await self._show("The current password is not right.")
            return
        # The library's own would hash in the event loop.
        message = await run_in_hashing_thread(authenticator.reset_password, user.name, new)
        is_done = "success" in message
        if is_done:
            await end_sessions(self, user)
            self.set_login_cookie(user)
        await self._show(message, is_done=is_done)

    async def _show(self, message: str = "", *, is_done: bool = False) -> None:
        html = await self.render_template(
            "own-password.html",
            message=message,
            alert="success" if is_done else "danger",
            minimum=self.authenticator.shortest_password,
        )
        self.finish(html)


class ClaimedFirstUseAuthenticator(FirstUseAuthenticator, ClaimableAuthenticator):
    """FirstUseAuthenticator whose admins set their first password with a claim link."""

    refuses_in_equal_time = True
    password_page = "auth/change-password"

    @property
    def shortest_password(self) -> int:
        return int(self.min_password_length)

    @property
    def _too_short(self) -> str:
        return f"The password needs at least {self.shortest_password} characters."

    def validate_username(self, username: str) -> bool:
        """Apply JupyterHub's rules only.

        The library refuses spaces in addition, which accounts and routes of tljh support.
        """
        return bool(Authenticator.validate_username(self, username))

    def stored_password(self, login: str) -> bytes | None:
        return read_hash(Path(self.dbm_path), login)

    async def set_claimed_password(self, login: str, password: str) -> None:
        await run_in_hashing_thread(self.reset_password, login, password)

    def check_allowed(self, username: str, authentication: Any = None) -> bool:
        """Allow users who are listed, or who were added to the hub, on its admin page for example.

        FirstUseAuthenticator allows everyone if the list is empty. tljh does not: a list of
        which the last name was removed must not open the hub.
        """
        if self.create_users or super().check_allowed(username, authentication):
            return True
        return bool(self._user_exists(username))

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        login = self.normalize_username(data["username"])
        password = data["password"]
        may_log_in = self.create_users or self._user_exists(login)
        stored = self.stored_password(login) if may_log_in else None
        if stored is None and may_log_in and self.validate_username(login):
            return await self._set_first_password(handler, login, password)
        return login if await matches_hash(password, stored) else None

    async def _set_first_password(self, handler: Any, login: str, password: str) -> str | None:
        if self.needs_claim(login):
            handler.custom_login_error = HAS_NO_PASSWORD
            await matches_hash(password, None)
            return None
        if len(password) < self.shortest_password:
            handler.custom_login_error = self._too_short
            await matches_hash(password, None)
            return None
        first_hash = await hash_in_thread(password)
        if await run_in_hashing_thread(store_first_hash, Path(self.dbm_path), login, first_hash):
            return login
        # While this password was hashed, another request stored the first one.
        stored = self.stored_password(login)
        return login if await matches_hash(password, stored) else None

    def reset_password(self, username: str, new_password: str) -> str:
        """Set a password and return a message for the user who changed it."""
        if len(new_password) < self.shortest_password:
            return self._too_short
        store_hash(Path(self.dbm_path), username, hash_password(new_password))
        return "Your password has been changed successfully!"

    def get_handlers(self, app: Any) -> list[tuple[str, Any]]:
        return [
            (r"/login", FirstUseLoginHandler),
            (r"/auth/change-password", FirstUsePasswordHandler),
            (r"/claim", ClaimHandler),
        ]
