"""What every authenticator gets from us, whichever class is chosen: a throttle for bad logins.

The chosen class is subclassed when the hub starts (`guarded`), so plugins' and admins' own
authenticators have it too. Single sign-on has no password here, and nothing to throttle.
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

# Longer names exist nowhere; what is beyond must not fill our memory.
LONGEST_KEY = 256


# Authenticators whose `authenticate` talks to a server without giving way to others.
BLOCKING = ("LDAPAuthenticator",)


# How many such logins wait at a time for a server that does not answer.
BLOCKING_THREADS = 16


DIRECTORY_TIMEOUT_S = 15


class LoginGuard(Configurable):
    """`auth.throttle` and its like, as the hub process takes them."""

    enabled = Bool(True, config=True)
    attempts = Integer(5, config=True)
    attempts_anywhere = Integer(30, config=True)
    names_per_address = Integer(50, config=True)
    window_s = Float(600, config=True)
    trusted_proxies = List(Unicode(), config=True)
    # Looked at when a configuration is checked, not here.
    allow_strangers = Bool(False, config=True)

    def limits(self) -> Limits:
        return Limits(
            self.attempts, self.attempts_anywhere, self.names_per_address, float(self.window_s)
        )


class TooManyAttempts(web.HTTPError):
    """429 with the time to wait, on the login form where there is one."""

    def __init__(self, wait_s: float, of_what: str = "bad logins") -> None:
        minutes = math.ceil(wait_s / 60)
        when = "a minute" if minutes <= 1 else f"{minutes} minutes"
        super().__init__(429, f"Too many {of_what}. Try again in {when}.")
        self.headers = {"Retry-After": str(math.ceil(wait_s))}


class Guard:
    """Counts bad logins around any authenticator's own check."""

    _throttle: Throttle | None = None
    # Of its own: whoever signs up in vain must not hold up logins from the same address.
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

    async def check_allowed(self, username: str, authentication: Any = None) -> bool:
        """As the class says; administrators are let in without being listed twice.

        The class is asked first: it may refuse by an exception, for example an e-mail address
        that Google has not verified.
        """
        allowed = await maybe_future(
            super().check_allowed(username, authentication)  # type: ignore[misc]
        )
        return bool(allowed) or username in self.admin_users  # type: ignore[attr-defined]

    def count_sign_up(self, handler: Any, login: str) -> None:
        """Raises TooManyAttempts for an address that has signed up too many."""
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
    """Not asyncio's own, in which servers are started: logins that hang must not stop those."""
    return ThreadPoolExecutor(BLOCKING_THREADS, "login")


class OffTheLoop:
    """Runs an `authenticate` that blocks in a thread, of which logins have their own."""

    async def authenticate(self, handler: Any, data: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(
            _blocking_threads(),
            lambda: asyncio.run(super(OffTheLoop, self).authenticate(handler, data)),  # type: ignore[misc]
        )


def _end_silence_of_directories() -> None:
    """A directory that accepts and never answers would keep a thread for ever.

    LDAPAuthenticator has no setting for it and makes its connections itself.
    """
    ldap3 = import_module("ldap3")
    for cls, name in ((ldap3.Server, "connect_timeout"), (ldap3.Connection, "receive_timeout")):
        if not isinstance(vars(cls)["__init__"], partialmethod):
            cls.__init__ = partialmethod(cls.__init__, **{name: DIRECTORY_TIMEOUT_S})


def throttle_key(login: str) -> str:
    """One key for all spellings that a directory may take for the same name."""
    return " ".join(unicodedata.normalize("NFKC", login).casefold().split())[:LONGEST_KEY]


def guarded(chosen: type) -> type:
    """The chosen authenticator class with ours around it, under its own name."""
    ancestors = {base.__name__ for base in chosen.__mro__}
    around: tuple[type, ...] = (Guard,)
    if ancestors & set(BLOCKING):
        around = (Guard, OffTheLoop)
        _end_silence_of_directories()
    return type(chosen.__name__, (*around, chosen), {"__doc__": chosen.__doc__})
