"""First use, but an administrator's name takes a claim: nobody becomes root by being first."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from firstuseauthenticator.firstuseauthenticator import (
    CustomLoginHandler,
    FirstUseAuthenticator,
)
from jupyterhub.handlers import BaseHandler
from tornado import web
from traitlets import Unicode

from tljh.host.passwords import has_password
from tljh.hub.claims import Claim, claim_file, read_claim


class ClaimHandler(BaseHandler):
    """The page behind a claim link: asks for a password, stores it, and the claim is used up."""

    @property
    def first_use(self) -> ClaimedFirstUseAuthenticator:
        authenticator = self.authenticator
        assert isinstance(authenticator, ClaimedFirstUseAuthenticator)
        return authenticator

    def _claim(self) -> Claim:
        name = self.first_use.normalize_username(self.get_argument("name", ""))
        claim = self.first_use.claim_of(name)
        token = self.get_argument("token", "", strip=False)
        if claim is None or not claim.allows(token, datetime.now(timezone.utc)):
            raise web.HTTPError(
                403,
                "This link is not valid any more: it was used, it expired, or a newer one was "
                "made. On the machine, `sudo tljh user claim NAME` makes a new one.",
                reason="This link is not valid",
            )
        return claim

    async def _show(self, claim: Claim, problem: str = "") -> None:
        html = await self.render_template(
            "claim.html",
            login=claim.login,
            token=claim.token,
            problem=problem,
            minimum=self.first_use.min_password_length,
            action=self.request.path,
        )
        self.finish(html)

    async def get(self) -> None:
        # The token stands in the address, which must not travel on as a referrer.
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")
        await self._show(self._claim())

    async def post(self) -> None:
        claim = self._claim()
        password = self.get_body_argument("password", "", strip=False)
        if password != self.get_body_argument("again", "", strip=False):
            await self._show(claim, "The two passwords differ.")
            return
        if len(password) < self.first_use.min_password_length:
            minimum = self.first_use.min_password_length
            await self._show(claim, f"The password needs at least {minimum} characters.")
            return
        await self.first_use.redeem(claim, password)
        self.redirect(self.settings["login_url"] + "?claimed=1")


class ClaimedFirstUseAuthenticator(FirstUseAuthenticator):
    """FirstUseAuthenticator whose administrators' names cannot be taken without their claim."""

    claims_dir = Unicode(help="Directory of the claims, root's.", config=True)

    def is_claimable(self, login: str) -> bool:
        """Whether the first password of this name may be set through a claim only."""
        return login in self.admin_users and not has_password(Path(self.dbm_path), login)

    def claim_of(self, login: str) -> Claim | None:
        if not login:
            return None
        path = claim_file(Path(self.claims_dir).parent, login)
        try:
            return read_claim(path.read_bytes())
        except OSError:
            return None

    async def redeem(self, claim: Claim, password: str) -> None:
        """Store the password and use the claim up. Hashing takes 0.2 s, off the event loop."""
        await asyncio.to_thread(self.reset_password, claim.login, password)
        with contextlib.suppress(FileNotFoundError):
            claim_file(Path(self.claims_dir).parent, claim.login).unlink()

    async def authenticate(self, handler: Any, data: dict[str, str]) -> Any:
        login = self.normalize_username(data["username"])
        if self.is_claimable(login):
            handler.custom_login_error = (
                "This administrator has no password yet. Open the claim link that the "
                "installation printed; `sudo tljh user claim NAME` on the machine makes a new one."
            )
            return None
        return await super().authenticate(handler, data)

    def get_handlers(self, app: Any) -> list[tuple[str, Any]]:
        handlers: list[tuple[str, Any]] = super().get_handlers(app)
        return [*handlers, (r"/claim", ClaimHandler)]


__all__ = ["ClaimedFirstUseAuthenticator", "CustomLoginHandler"]
