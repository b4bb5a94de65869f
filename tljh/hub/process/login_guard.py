"""The throttle of bad logins around any authenticator class, and its own threads for LDAP.

When the hub starts, `make_guarded_class` makes a subclass of the chosen class. So authenticators
of plugins and drop-ins are throttled, too. Single sign-on has no password here, and nothing to
throttle.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
import unicodedata
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partialmethod
from importlib import import_module
from typing import Any

from jupyterhub.handlers.login import LoginHandler
from jupyterhub.utils import maybe_future
from tornado import web
from traitlets import Bool, Float, Integer, List, Unicode
from traitlets.config import Configurable

from tljh.hub.process.directory_outage import report_outages
from tljh.hub.process.login_throttle import Throttle, ThrottleLimits
from tljh.hub.process.request_origin import find_address
from tljh.hub.process.trusted_headers import make_guarded_handler

# No directory has longer names. The rest is cut off, so that long ones cannot fill the memory.
LONGEST_KEY = 256


# Authenticators whose `authenticate` is a coroutine that blocks the event loop on the network.
BLOCKING = ("LDAPAuthenticator",)


# The number of such logins that can wait for a server at the same time.
BLOCKING_THREADS = 16


DIRECTORY_TIMEOUT_S = 15


# A refused login takes at least as long as this and as the slowest of the last minutes: a directory
# or PAM answers sooner for a name that does not exist. Beyond the longest delay, it shows.
SHORTEST_REFUSAL_S = 0.5
LONGEST_DELAY_S = 5.0
REFUSALS_COUNT_FOR_S = 600.0


class RefusalTimes:
    """How long refused logins took, and so how long the next one has to wait."""

    def __init__(self) -> None:
        self._slowest_s = SHORTEST_REFUSAL_S
        self._slowest_at_s = -math.inf

    def compute_delay_s(self, taken_s: float, time_s: float) -> float:
        """Count a refused login that took `taken_s`; return how long its answer has to wait."""
        is_over = time_s - self._slowest_at_s > REFUSALS_COUNT_FOR_S
        if taken_s > self._slowest_s or is_over:
            self._slowest_s = min(max(taken_s, SHORTEST_REFUSAL_S), LONGEST_DELAY_S)
            self._slowest_at_s = time_s
        return max(0.0, self._slowest_s - taken_s)


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

    def limits(self) -> ThrottleLimits:
        return ThrottleLimits(
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
    # Set by classes that compute a hash for unknown names, too.
    refuses_in_equal_time = False

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        settings = LoginGuard(parent=arguments.get("parent"))
        self._refusals = RefusalTimes()
        if settings.enabled:
            self._throttle = Throttle(settings.limits())
            self._sign_ups = Throttle(settings.limits())
        self._trusted = tuple(
            ipaddress.ip_network(network, strict=False) for network in settings.trusted_proxies
        )

    def get_handlers(self, app: Any) -> list[Any]:
        """Return the login pages; they see a user's name in a header only from trusted proxies."""
        handlers = super().get_handlers(app)  # type: ignore[misc]
        return [
            (path, make_guarded_handler(handler, self, self._trusted), *more)
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
        name = make_throttle_key(login)
        address = find_address(handler.request, self._trusted)
        wait_s = self._sign_ups.wait_s(name, address)
        if wait_s > 0:
            raise TooManyAttempts(wait_s, "sign-ups")
        self._sign_ups.failed(name, address)

    def forget_failures(self, login: str) -> None:
        """Forget a name's bad logins: after a new password it must not have to wait."""
        if self._throttle is not None:
            self._throttle.forget_account(make_throttle_key(login))

    async def check_own_password(self, handler: Any, check: Coroutine[Any, Any, bool]) -> bool:
        """Return whether the old password of a logged-in user is right, and count a wrong one."""
        if self._throttle is None:
            return await check
        name = make_throttle_key(handler.current_user.name)
        address = find_address(handler.request, self._trusted)
        async with self._throttle.turn(name):
            wait_s = self._throttle.wait_s(name, address)
            if wait_s > 0:
                check.close()
                raise TooManyAttempts(wait_s, "wrong passwords")
            is_right = await check
            if not is_right:
                self._throttle.failed(name, address)
            return is_right

    async def get_authenticated_user(self, handler: Any, data: Any) -> Any:
        with report_outages(self.log):  # type: ignore[attr-defined]
            if isinstance(data, dict) and "password" in data:
                return await self._check_login(handler, data)
            if isinstance(handler, LoginHandler) and handler.request.method == "POST":
                raise web.HTTPError(400, "A name and a password are needed.")
            return await super().get_authenticated_user(handler, data)  # type: ignore[misc]

    async def _check_login(self, handler: Any, data: dict[str, Any]) -> Any:
        if not data.get("username"):
            raise web.HTTPError(400, "A name is needed.")
        if self._throttle is None:
            user, delay_s = await self._measure_check(handler, data)
        else:
            user, delay_s = await self._check_in_turn(self._throttle, handler, data)
        await asyncio.sleep(delay_s)
        return user

    async def _check_in_turn(
        self, throttle: Throttle, handler: Any, data: dict[str, Any]
    ) -> tuple[Any, float]:
        """Check a login that is throttled; return the user, and how long the answer has to wait.

        Logins of the same name run one after the other, or a thousand at once would all be checked
        before the first is counted.
        """
        name = make_throttle_key(data["username"])
        address = find_address(handler.request, self._trusted)
        async with throttle.turn(name):
            wait_s = throttle.wait_s(name, address)
            if wait_s > 0:
                self.log.warning(  # type: ignore[attr-defined]
                    "Login of %r from %s has to wait %.0f s", name[:32], address, wait_s
                )
                raise TooManyAttempts(wait_s)
            user, delay_s = await self._measure_check(handler, data)
            if user is None:
                throttle.failed(name, address)
            else:
                throttle.succeeded(name, address)
            return user, delay_s

    async def _measure_check(self, handler: Any, data: dict[str, Any]) -> tuple[Any, float]:
        start_s = time.monotonic()
        user = await super().get_authenticated_user(handler, data)  # type: ignore[misc]
        if user is not None or self.refuses_in_equal_time:
            return user, 0.0
        end_s = time.monotonic()
        return None, self._refusals.compute_delay_s(end_s - start_s, end_s)


@cache
def _make_blocking_threads() -> ThreadPoolExecutor:
    # asyncio's default threads start servers. Logins that hang there would stop all starts, so
    # logins have their own threads.
    return ThreadPoolExecutor(BLOCKING_THREADS, "login")


class OffTheLoop:
    """A mixin that runs a blocking `authenticate` in a thread, outside the hub's event loop."""

    async def authenticate(self, handler: Any, data: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(
            _make_blocking_threads(),
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


def make_throttle_key(login: str) -> str:
    """Return the name under which bad logins are counted.

    It is the same for all spellings that a directory may accept for one name.
    """
    return " ".join(unicodedata.normalize("NFKC", login).casefold().split())[:LONGEST_KEY]


def make_guarded_class(chosen: type) -> type:
    """Return a subclass of the chosen authenticator class that throttles bad logins.

    It has the same name, because traits are configured by the name of the class.
    """
    ancestors = {base.__name__ for base in chosen.__mro__}
    mixins: tuple[type, ...] = (LoginGuardMixin,)
    if ancestors & set(BLOCKING):
        mixins = (LoginGuardMixin, OffTheLoop)
        _limit_ldap_waits()
    return type(chosen.__name__, (*mixins, chosen), {"__doc__": chosen.__doc__})
