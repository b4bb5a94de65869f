"""Headers that name the user (REMOTE_USER), removed unless a trusted proxy has set them.

An authenticator for such a header believes it. But any client can send it to Traefik, and any
user's process can send it to the hub's own port. So the pages of the login remove it, except from
requests that Traefik got from an address of `trusted_proxies`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any

from jupyterhub.utils import maybe_future

from tljh.hub.process.login_throttle import Network
from tljh.hub.process.request_origin import is_from_proxy

# By which names such proxies send the user's name; an authenticator's own trait adds another.
IDENTITY_HEADERS = (
    *("Remote-User", "X-Remote-User", "X-Forwarded-User", "X-Auth-Request-User"),
    *("X-Forwarded-Preferred-Username", "X-Forwarded-Email", "X-Auth-Request-Email"),
    *("X-Authenticated-User", "X-WebAuth-User"),
)
TRAITS = ("header_name", "header_names")


def list_identity_headers(authenticator: Any) -> set[str]:
    """Return the request headers from which an authenticator takes the user's name.

    They are in the form of `normalize_header`.
    """
    names = list(IDENTITY_HEADERS)
    for trait in TRAITS:
        value = getattr(authenticator, trait, None)
        names += [value] if isinstance(value, str) else list(value or ())
    return {normalize_header(str(name)) for name in names}


def normalize_header(name: str) -> str:
    """Return one spelling for all that a program may take for the same header name."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def is_from_trusted_proxy(request: Any, trusted: Sequence[Network]) -> bool:
    """Return whether Traefik got the request from an address of `trusted`."""
    # Traefik appends the address that it got the request from; the rest is the client's word.
    last = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    try:
        address = ipaddress.ip_address(last)
    except ValueError:
        return False
    return any(address in network for network in trusted) and is_from_proxy(request)


def remove_untrusted(request: Any, names: Iterable[str], trusted: Sequence[Network]) -> list[str]:
    """Remove the named headers from a request, unless a trusted proxy has set them.

    Returns the names of the removed ones.
    """
    header_names = set(names)
    present = [
        name for name in list(request.headers.keys()) if normalize_header(name) in header_names
    ]
    if not present or is_from_trusted_proxy(request, trusted):
        return []
    for name in present:
        del request.headers[name]
    return present


def make_guarded_handler(handler: Any, authenticator: Any, trusted: Sequence[Network]) -> type:
    """Return a subclass of a login handler that never sees an untrusted identity header."""

    async def prepare(self: Any) -> None:
        removed = remove_untrusted(self.request, list_identity_headers(authenticator), trusted)
        if removed:
            self.log.warning(
                "%s was ignored: the request does not come from trusted_proxies", removed[0]
            )
        await maybe_future(handler.prepare(self))

    return type(handler.__name__, (handler,), {"prepare": prepare})
