"""The page behind a claim link, and the interface that an authenticator implements for it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyterhub.handlers import BaseHandler
from jupyterhub.orm import User
from tornado.httputil import url_concat
from traitlets import Unicode
from traitlets.config import Configurable

from tljh.base.clock import get_utc_time
from tljh.hub.process.access_records import has_admin_rights, has_logged_in
from tljh.hub.process.login_guard import LoginGuardMixin
from tljh.hub.process.sessions import end_sessions
from tljh.users.claims import Claim, claim_file, read_claim, used_claim_file, used_mark

HAS_NO_PASSWORD = (
    "This name has no password yet, and only a claim link can set it. To make a link, an admin "
    "runs on the machine: sudo tljh user claim NAME"
)


# One use of a link at a time: of several at once, the first has it.
_REDEEMING = asyncio.Lock()


class ClaimableAuthenticator(Configurable):
    """An authenticator that keeps passwords; the first one of some users needs a claim link."""

    claims_dir = Unicode(help="Directory of the claims, readable by root only.", config=True)

    # The page on which users change their password, below the hub's prefix; Home links to it.
    password_page = ""

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
        """Return whether the first password of this name can be set by a claim link only.

        So it is for a name with admin rights, wherever they came from, for one that was given a
        claim link, and for one that has logged in before: its home and its work exist, and the
        first visitor would own them.
        """
        if self.stored_password(login) is not None:
            return False
        if self.claim_of(login) is not None:
            return True
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

    async def redeem(self, claim: Claim, password: str) -> bool:
        """Store the password, then delete the claim and leave the mark of a used one.

        Returns False if another request has used the link meanwhile.
        """
        async with _REDEEMING:
            if self.claim_of(claim.login) != claim:
                return False
            # In this order: if the hub ends between the two, the link can be used again. The
            # other order would leave an admin without a password and without a link.
            await self.set_claimed_password(claim.login, password)
            with contextlib.suppress(OSError):
                mark = used_claim_file(Path(self.claims_dir), claim.login)
                mark.write_bytes(used_mark(claim.token))
            with contextlib.suppress(FileNotFoundError):
                self._claim_file(claim.login).unlink()
        if isinstance(self, LoginGuardMixin):
            self.forget_failures(claim.login)
        return True

    def was_used(self, login: str, token: str) -> bool:
        """Return whether `token` is that of the last used link of this name."""
        try:
            mark = used_claim_file(Path(self.claims_dir), login).read_bytes()
        except OSError:
            return False
        return bool(login) and hmac.compare_digest(mark, used_mark(token))


class ClaimHandler(BaseHandler):
    """The page that asks for the first password."""

    @property
    def claimable(self) -> ClaimableAuthenticator:
        authenticator: Any = self.authenticator
        assert isinstance(authenticator, ClaimableAuthenticator)
        return authenticator

    async def _claim(self) -> Claim | None:
        """Return the claim of the link; None after a page that says why there is none."""
        name = self.claimable.normalize_username(self.get_argument("name", ""))
        claim = self.claimable.claim_of(name)
        token = self.get_argument("token", "", strip=False)
        if claim is not None and claim.allows(token, get_utc_time()):
            return claim
        self.set_status(403)
        # Only the link itself proves that its state may be shown: without that, the page would
        # report to any visitor which names have a password.
        is_used = self.claimable.was_used(name, token)
        html = await self.render_template(
            "claim-over.html",
            login=name if is_used else "",
            is_used=is_used,
            login_link=self._login_link(name) if is_used else self.settings["login_url"],
        )
        self.finish(html)
        return None

    def _login_link(self, login: str, **more: str) -> str:
        return str(url_concat(self.settings["login_url"], {"username": login, **more}))

    async def _show(self, claim: Claim, problem: str = "") -> None:
        html = await self.render_template(
            "claim.html",
            login=claim.login,
            token=claim.token,
            is_admin=claim.login in self.claimable.admin_users,
            problem=problem,
            minimum=self.claimable.shortest_password,
            action=self.request.path,
        )
        self.finish(html)

    def set_default_headers(self) -> None:
        super().set_default_headers()
        # The token is in the page's URL, also of an error. Without this, the browser would send
        # the URL to every site that the page links to.
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")

    async def get(self) -> None:
        if not self.get_argument("token", ""):
            name, path = self.get_argument("name", ""), self.request.path
            self.finish(await self.render_template("claim_code.html", login=name, action=path))
            return
        claim = await self._claim()
        if claim is not None:
            await self._show(claim)

    async def post(self) -> None:
        claim = await self._claim()
        if claim is None:
            return
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
        if not await self.claimable.redeem(claim, password):
            # Another request has used the link: the page says so.
            await self._claim()
            return
        user = self.find_user(claim.login)
        if user is not None:
            await end_sessions(self, user)
        if self.current_user is not None:
            # The login page would lead another user of this browser to their own server.
            self.clear_login_cookie()
        self.redirect(self._login_link(claim.login, claimed="1"))


def login_notice(handler: Any) -> dict[str, str]:
    """Return the template variable with the notice that a claim link leads to, if it does."""
    if not handler.get_argument("claimed", ""):
        return {}
    return {"announcement": "Your password is set. Log in with it."}
