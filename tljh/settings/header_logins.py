"""Logins by a header of a proxy in front of this machine (REMOTE_USER), and whom to believe it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tljh.settings.declaration import Problem

if TYPE_CHECKING:
    from tljh.settings.root import Config

# The trait of such authenticators that names the header, and its usual default.
HEADER_TRAIT = "header_name"
REMOTE_USER = "REMOTE_USER"

_NAME = re.compile(r"remote[_-]?user", re.IGNORECASE)
# Traefik deletes a header whose name a CGI program would take for another one.
_ALIAS = re.compile(r"[^A-Za-z0-9-]")

WHY = "any client can send that header, so it is believed only from trusted_proxies"
FIX = "sudo tljh-config add-item trusted_proxies ADDRESS_OF_THE_PROXY"


def is_header_login(names: Iterable[str]) -> bool:
    """Return whether an authenticator takes the user's name from a request header.

    `names` are those of the class and its bases.
    """
    return any(_NAME.search(name) for name in names)


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Yield a problem if a login by a request header is on without trusted proxies.

    Any client could send the header.
    """
    if is_header_login([config.auth.type]) and not config.trusted_proxies:
        yield Problem(
            ("auth", "type"),
            f"{config.auth.type} takes the user's name from a header, but trusted_proxies is empty",
            why=WHY,
            fix=FIX,
            severity="incomplete",
        )


def needs_alias_headers(config: Config, drop_ins: Iterable[bytes]) -> bool:
    """Return whether Traefik must pass on headers like REMOTE_USER, because a login reads one.

    A drop-in is a program. It counts as choosing such a login if its text names one.
    """
    if not config.trusted_proxies:
        return False
    classes = {**config.traitlets, **config.auth.classes}
    headers = [str(traits[HEADER_TRAIT]) for traits in classes.values() if traits.get(HEADER_TRAIT)]
    if is_header_login([config.auth.type]) and not headers:
        headers = [REMOTE_USER]
    if any(_ALIAS.search(header) for header in headers):
        return True
    return any(
        _NAME.search(text) or HEADER_TRAIT in text
        for text in (data.decode(errors="replace") for data in drop_ins)
    )
