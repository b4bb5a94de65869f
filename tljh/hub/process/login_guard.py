"""The throttle of bad logins around any authenticator class, and its own threads for LDAP.

When the hub starts, `guarded` makes a subclass of the chosen class. So authenticators of plugins
and drop-ins are throttled, too. Single sign-on has no password here, and nothing to throttle.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partialmethod
from importlib import import_module
from typing import Any

from jupyterhub.handlers.login import LoginHandler
from jupyterhub.utils import maybe_future
from tornado import web
from traitlets import Bool, Float, Integer, List, Unicode
from traitlets.config import Configurable

from tljh.hub.process.login_throttle import Limits, Throttle
from tljh.hub.process.request_origin import address_of
from tljh.hub.process.trusted_headers import guarded_handler

# No directory has longer names. The rest is cut off, so that long ones cannot fill the memory.
LONGEST_KEY = 256


# Authenticators whose `authenticate` is a coroutine that blocks the event loop on the network.
BLOCKING = ("LDAPAuthenticator",)


# The number of such logins that can wait for a server at the same time.
BLOCKING_THREADS = 16


DIRECTORY_TIMEOUT_S = 15


class LoginGuard(Configurable):
    """Settings of the throttle, as traits of the hub process."""

    enabled = Bool(True, config=True)
    attempts = Integer(5, config=True)
    attempts_anywhere = Integer(30, config=True)
    names_per_address = Integer(50, config=True)
    window_s = Float(600, config=True)
    trusted_proxies = List(Unicode(), config=True)
    # Not used by the hub: the check of a configuration reads it (tljh.settings.login_rules).
    allow_strangers = Bool(False, config=True)

    def limits(self) -> Limits:
        return Limits(
            self.attempts, self.attempts_anywhere, self.names_per_address, float(self.window_s)
        )


class TooManyAttempts(web.HTTPError):
    """Status 429 with the time to wait; JupyterHub shows the message on its login form."""

    def __init__(self, wait_s: float, attempts: str = "bad logins") -> None:
        minutes = math.ceil(wait_s / 60)
        wait = "a minute" if minutes <= 1 else f"{minutes} minutes"
        super().__init__(429, f"Too many {attempts}. Try again in {wait}.")
        self.headers = {"Retry-After": str(math.ceil(wait_s))}


class LoginGuardMixin:
    """A mixin that counts bad logins around an authenticator's own check."""

    _throttle: Throttle | None = None
    # Sign-ups are counted separately: many of them must not hold up logins from that address.
    _sign_ups: Throttle | None = None
    _trusted: tuple[Any, ...] = ()

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        settings = LoginGuard(parent=arguments.get("parent"))
        if settings.enabled:
            self._throttle = Throttle(settings.limits())
            self._sign_ups = Throttle(settings.limits())
        self._trusted = tuple(
            ipaddress.ip_network(network, strict=False) for network in settings.trusted_proxies
        )

    def get_handlers(self, app: Any) -> list[Any]:
        """Return the pages of the login, which see a user's name in a header from proxies only."""
        handlers = super().get_handlers(app)  # type: ignore[misc]
        return [
            (path, guarded_handler(handler, self, self._trusted), *more)
            for path, handler, *more in handlers
        ]

    async def check_allowed(self, username: str, authentication: Any = None) -> bool:
        """Allow the users that the class allows, and all admins.

        The class is asked first, for admins, too: it may raise an exception, for example for an
        e-mail address that Google has not verified.
        """
        allowed = await maybe_future(
            super().check_allowed(username, authentication)  # type: ignore[misc]
        )
        return bool(allowed) or username in self.admin_users  # type: ignore[attr-defined]

    def count_sign_up(self, handler: Any, login: str) -> None:
        """Count a sign-up. Raises TooManyAttempts if its address has made too many."""
        if self._sign_ups is None:
            return
        name = throttle_key(login)
        address = address_of(handler.request, self._trusted)
        wait_s = self._sign_ups.wait_s(name, address)
        if wait_s > 0:
            raise TooManyAttempts(wait_s, "sign-ups")
        self._sign_ups.failed(name, address)

    async def get_authenticated_user(self, handler: Any, data: Any) -> Any:
        if not isinstance(data, dict) or "password" not in data:
            if isinstance(handler, LoginHandler) and handler.request.method == "POST":
                raise web.HTTPError(400, "A name and a password are needed.")
            return await super().get_authenticated_user(handler, data)  # type: ignore[misc]
        if not data.get("username"):
            raise web.HTTPError(400, "A name is needed.")
        if self._throttle is None:
            return await super().get_authenticated_user(handler, data)  # type: ignore[misc]
        name = throttle_key(data["username"])
        address = address_of(handler.request, self._trusted)
        # Logins of the same name run one after the other, or a thousand at once would all be
        # checked before the first is counted.
        async with self._throttle.turn(name):
            wait_s = self._throttle.wait_s(name, address)
            if wait_s > 0:
                self.log.warning(  # type: ignore[attr-defined]
                    "Login of %r from %s has to wait %.0f s", name[:32], address, wait_s
                )
                raise TooManyAttempts(wait_s)
            user = await super().get_authenticated_user(handler, data)  # type: ignore[misc]
            if user is None:
                self._throttle.failed(name, address)
            else:
                self._throttle.succeeded(name, address)
            return user


@cache
def _blocking_threads() -> ThreadPoolExecutor:
    # asyncio's default threads start servers. Logins that hang there would stop all starts, so
    # logins have their own threads.
    return ThreadPoolExecutor(BLOCKING_THREADS, "login")


class OffTheLoop:
    """A mixin that runs a blocking `authenticate` in a thread, outside the hub's event loop."""

    async def authenticate(self, handler: Any, data: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(
            _blocking_threads(),
            lambda: asyncio.run(super(OffTheLoop, self).authenticate(handler, data)),  # type: ignore[misc]
        )


def _limit_ldap_waits() -> None:
    """Give all ldap3 connections a timeout.

    A directory that accepts a connection and never answers would hold a thread for ever.
    LDAPAuthenticator has no setting for it and creates its connections itself, so the default
    arguments of ldap3's classes are changed.
    """
    ldap3 = import_module("ldap3")
    for cls, name in ((ldap3.Server, "connect_timeout"), (ldap3.Connection, "receive_timeout")):
        if not isinstance(vars(cls)["__init__"], partialmethod):
            cls.__init__ = partialmethod(cls.__init__, **{name: DIRECTORY_TIMEOUT_S})


def throttle_key(login: str) -> str:
    """Return one key for all spellings that a directory may accept for the same name."""
    return " ".join(unicodedata.normalize("NFKC", login).casefold().split())[:LONGEST_KEY]


def guarded(chosen: type) -> type:
    """Return a subclass of the chosen authenticator class with the guard around it.

    It has the same name, because traits are configured by the name of the class.
    """
    ancestors = {base.__name__ for base in chosen.__mro__}
    mixins: tuple[type, ...] = (LoginGuardMixin,)
    if ancestors & set(BLOCKING):
        mixins = (LoginGuardMixin, OffTheLoop)
        _limit_ldap_waits()
    return type(chosen.__name__, (*mixins, chosen), {"__doc__": chosen.__doc__})
