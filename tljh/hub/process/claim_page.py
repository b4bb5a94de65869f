"""The page behind a claim link, and the interface that an authenticator implements for it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyterhub.handlers import BaseHandler
from jupyterhub.orm import User
from tornado import web
from tornado.httputil import url_concat
from traitlets import Unicode
from traitlets.config import Configurable

from tljh.base.clock import utc_now
from tljh.hub.process.access_records import has_admin_rights, has_logged_in
from tljh.users.claims import Claim, claim_file, read_claim

HAS_NO_PASSWORD = (
    "This name has no password yet, and only a claim link can set it. To make a link, an admin "
    "runs on the machine: sudo tljh user claim NAME"
)


class Claimable(Configurable):
    """An authenticator that keeps passwords; the first one of some users needs a claim link."""

    claims_dir = Unicode(help="Directory of the claims, readable by root only.", config=True)

    if TYPE_CHECKING:
        admin_users: set[str]
        db: Any

        def normalize_username(self, username: str) -> str: ...

    @property
    def shortest_password(self) -> int:
        raise NotImplementedError

    async def set_claimed_password(self, login: str, password: str) -> None:
        raise NotImplementedError

    def stored_password(self, login: str) -> bytes | None:
        """Return the hash that is kept for a login name; None where there is none."""
        raise NotImplementedError

    def needs_claim(self, login: str) -> bool:
        """Return whether only a claim link may set the first password of this name.

        So it is for a name with admin rights, wherever they came from, and for one that has logged
        in before: its home and its work exist, and the first visitor would own them.
        """
        if self.stored_password(login) is not None:
            return False
        user = User.find(self.db, login)
        return login in self.admin_users or has_admin_rights(user) or has_logged_in(user)

    def _claim_file(self, login: str) -> Path:
        return claim_file(Path(self.claims_dir), login)

    def claim_of(self, login: str) -> Claim | None:
        if not login:
            return None
        try:
            return read_claim(self._claim_file(login).read_bytes())
        except OSError:
            return None

    async def redeem(self, claim: Claim, password: str) -> None:
        """Store the password, then delete the claim."""
        # In this order: if the hub ends between the two, the link can be used again. The other
        # order would leave an admin without a password and without a link.
        await self.set_claimed_password(claim.login, password)
        with contextlib.suppress(FileNotFoundError):
            self._claim_file(claim.login).unlink()


class ClaimHandler(BaseHandler):
    """The page that asks an admin for the first password."""

    @property
    def claimable(self) -> Claimable:
        authenticator: Any = self.authenticator
        assert isinstance(authenticator, Claimable)
        return authenticator

    def _claim(self) -> Claim:
        name = self.claimable.normalize_username(self.get_argument("name", ""))
        claim = self.claimable.claim_of(name)
        token = self.get_argument("token", "", strip=False)
        if claim is None or not claim.allows(token, utc_now()):
            raise web.HTTPError(
                403,
                "This link is not valid any more: it was used, it expired, or a newer one was "
                "made. If you have set your password, log in with it. If not, make a new link on "
                "the machine: sudo tljh user claim NAME. If you forgot your password: "
                "sudo tljh user reset-password NAME.",
                reason="This link is not valid",
            )
        return claim

    async def _show(self, claim: Claim, problem: str = "") -> None:
        html = await self.render_template(
            "claim.html",
            login=claim.login,
            token=claim.token,
            problem=problem,
            minimum=self.claimable.shortest_password,
            action=self.request.path,
        )
        self.finish(html)

    async def get(self) -> None:
        # The token is in the page's URL. Without this, the browser would send the URL to every
        # site that the page links to.
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")
        await self._show(self._claim())

    async def post(self) -> None:
        claim = self._claim()
        password = self.get_body_argument("password", "", strip=False)
        if password != self.get_body_argument("again", "", strip=False):
            await self._show(claim, "The two passwords are not the same.")
            return
        minimum = self.claimable.shortest_password
        if len(password) < minimum:
            await self._show(claim, f"The password needs at least {minimum} characters.")
            return
        if not password.strip():
            await self._show(claim, "The password must not consist of spaces only.")
            return
        await self.claimable.redeem(claim, password)
        self.redirect(url_concat(self.settings["login_url"], {"username": claim.login}))
