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
    ResetPasswordHandler,
)
from jupyterhub.auth import Authenticator
from jupyterhub.handlers.login import LoginHandler
from tornado import web

from tljh.host.password_store import hash_password, read_hash, store_first_hash, store_hash
from tljh.hub.process.claim_page import HAS_NO_PASSWORD, Claimable, ClaimHandler
from tljh.hub.process.password_hashing import hashed, in_hashing_thread, matches


class FirstUseLoginHandler(CustomLoginHandler):
    """The login page, with the authenticator's own message if it has one."""

    def _render(
        self, login_error: str | None = None, username: str | None = None, **more: Any
    ) -> Any:
        # JupyterHub passes more arguments than FirstUseAuthenticator 1.1 accepts in its own
        # `_render`, which would answer a failed login with 500. So that one is skipped.
        reason = self.custom_login_error or login_error
        return LoginHandler._render(self, reason, username, **more)


class FirstUsePasswordHandler(ResetPasswordHandler):
    """The page on which users change their own password."""

    @web.authenticated
    async def post(self) -> None:
        # The library's own would hash in the event loop.
        self._register_template_path()
        password = self.get_body_argument("password", strip=False)
        message = await in_hashing_thread(
            self.authenticator.reset_password, self.current_user.name, password
        )
        html = await self.render_template(
            "reset.html",
            result=True,
            alert="success" if "success" in message else "danger",
            result_message=message,
        )
        self.finish(html)


class ClaimedFirstUseAuthenticator(FirstUseAuthenticator, Claimable):
    """FirstUseAuthenticator whose admins set their first password with a claim link."""

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
        await in_hashing_thread(self.reset_password, login, password)

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
        if not self.create_users and not self._user_exists(login):
            return None
        if self.needs_claim(login):
            handler.custom_login_error = HAS_NO_PASSWORD
            return None
        stored = self.stored_password(login)
        if stored is None:
            if not self.validate_username(login):
                return None
            if len(password) < self.shortest_password:
                handler.custom_login_error = self._too_short
                return None
            first_hash = await hashed(password)
            if await in_hashing_thread(store_first_hash, Path(self.dbm_path), login, first_hash):
                return login
            # While this password was hashed, another request stored the first one.
            stored = self.stored_password(login)
        return login if stored and await matches(password, stored) else None

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
