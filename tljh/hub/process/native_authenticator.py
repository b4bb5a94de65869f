"""NativeAuthenticator with claim links, its own rules of authorization, and hashing in threads.

- Passwords are hashed outside the event loop, and only after all cheaper checks.
- An admin's name cannot be signed up for: the first password is set with a claim link.
- A name in `users.allowed` is authorized as long as it is listed. The library would authorize it
  for ever at its sign-up. A list is not enough where the name has an account and its user never
  logged in here: the first to sign up would get the home of the account.

The library's pages need fixes, too: see `tljh.hub.process.native_pages`.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from jupyterhub.orm import User
from nativeauthenticator import NativeAuthenticator
from nativeauthenticator.handlers import TEMPLATE_DIR
from nativeauthenticator.orm import UserInfo
from tornado import web

from tljh.base.paths import get_paths
from tljh.host.password_store import hash_password, read_hash, read_logins, store_hash
from tljh.host.real import RealReader
from tljh.hub.process.access_records import has_account, has_logged_in
from tljh.hub.process.claim_page import ClaimableAuthenticator, ClaimHandler
from tljh.hub.process.native_pages import NEW_HASH, OUR_HANDLERS
from tljh.hub.process.password_hashing import hash_in_thread, matches_hash
from tljh.settings.derived import NATIVE_NAMES
from tljh.users.declared_access import read_listed_before
from tljh.users.effective_lists import read_effective


class ClaimedNativeAuthenticator(NativeAuthenticator, ClaimableAuthenticator):
    """NativeAuthenticator whose admins set their first password with a claim link."""

    refuses_in_equal_time = True

    # The library adds its templates to the environment of normal pages only. The pages of errors,
    # such as a failed login, need them too; the hub adds these directories to both.
    template_dirs = (TEMPLATE_DIR,)

    password_page = "change-password"

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
        self._drop_sign_ups_of_before()
        self._import_first_use_passwords()

    def add_data_from_firstuse(self) -> None:
        """Do nothing: the library would hash the hashes again; ours are imported as they are."""

    def _import_first_use_passwords(self) -> None:
        """Copy passwords of FirstUseAuthenticator into NativeAuthenticator's table.

        Only for names that may log in: a listed one, or one with a record in the hub.
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

    def get_user(self, username: str) -> Any:
        """Return the record of a user as it is in the database.

        The commands of tljh write it, too. Without `populate_existing`, SQLAlchemy would return
        what this process has read before.
        """
        login = self.normalize_username(username)
        records = self.db.query(UserInfo).populate_existing()
        return records.filter(UserInfo.username == login).first()

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
        listed = read_listed_before(get_paths().ledger)
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

    def _drop_sign_ups_of_before(self) -> None:
        """Delete sign-ups that wait since before another login was in use.

        Users may have got accounts by the other login since, with names that were signed up for.
        """
        before = read_effective(RealReader().read(get_paths().hub_lists))
        if before is None or not before.login or before.login in NATIVE_NAMES:
            return
        for user in self.db.query(UserInfo).filter_by(is_authorized=False):
            if has_account(user.username):
                self.log.warning("deleted the sign-up of %s, who has an account", user.username)
                self.db.delete(user)
        self.db.commit()

    def _may_log_in(self, user: Any) -> bool:
        if user.is_authorized or user.username in self.admin_users:
            return bool(user.is_authorized)
        is_listed = bool(self.open_signup) or user.username in self.allowed_users
        return is_listed and not self._belongs_to_another(user.username)

    def _belongs_to_another(self, login: str) -> bool:
        """Return whether a name that was signed up for may be that of another user's home."""
        return has_account(login) and not has_logged_in(User.find(self.db, login))

    def check_allowed(self, username: str, authentication: Any = None) -> bool:
        """Return True: `authenticate` has refused users who are not authorized."""
        return True

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        login = self.normalize_username(data["username"])
        user = self.get_user(login)
        stored = user.password if user is not None else None
        if not await matches_hash(data["password"], stored):
            return None
        if user.has_2fa and not user.is_valid_token(data.get("2fa") or ""):
            return None
        if not self._may_log_in(user):
            if self._belongs_to_another(login):
                raise web.HTTPError(
                    403,
                    f"{login} has a home on this machine: ask an admin for a link with which you "
                    "choose your password.",
                )
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
        user = self._new_user(login, NEW_HASH.get() or hash_password(password), **more)
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
        user.password = NEW_HASH.get() or hash_password(new_password)
        self.db.commit()
        return True

    async def set_claimed_password(self, login: str, password: str) -> None:
        password_hash = await hash_in_thread(password)
        user = self.get_user(login)
        if user is None:
            user = self._new_user(login, password_hash)
        user.password = password_hash
        user.is_authorized = True
        self.db.commit()

    def get_handlers(self, app: Any) -> list[tuple[str, Any]]:
        handlers = [(path, OUR_HANDLERS.get(cls, cls)) for path, cls in super().get_handlers(app)]
        return [*handlers, (r"/claim", ClaimHandler)]
