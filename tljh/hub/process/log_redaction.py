"""Redaction of the hub's request log: secrets in addresses and headers, and nothing else.

JupyterHub masks every parameter whose name contains `state`, `code`, `key`, `auth` or `token`, so
`users?state=active` of the admin page and `?keyword=…` are masked. It does not mask a claim's token
inside `next=`, a ticket of CAS, nor a Referer with any of these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from jupyterhub import log

HIDDEN = "[secret]"

# The whole name of a parameter, or its last word: access_token, client-secret, X-Api-Key.
_SECRET_WORDS = (
    "token",
    "secret",
    "password",
    "passwd",
    "code",
    "verifier",
    "ticket",
    "assertion",
    "signature",
    "samlresponse",
    "samlrequest",
    "xsrf",
    "csrf",
    "nonce",
    "jwt",
    "auth",
    "authorization",
    "key",
)
_SECRET_NAME = re.compile(rf"(?:^|.*[_.-])(?:{'|'.join(_SECRET_WORDS)})s?$", re.IGNORECASE)

# `state` is a secret while a login is under way; in the REST API it is a filter.
_LOGIN_STATE = re.compile(r"^_?state$", re.IGNORECASE)
_API = re.compile(r"/hub/api/(?!oauth2/)")
_SECRET_PATH = re.compile(r"(/api/authorizations/(?:cookie|token)/)[^?#]*")
_PARAMETER = re.compile(r"(?<=[?&;#])([^=&;#?]+)=([^&;#]*)")
_LOGIN_HEADER = re.compile(r"(?:^|-)(?:authorization|cookie2?|set-cookie)$", re.IGNORECASE)
# Addresses within addresses are as deep as this at most: login, its `next`, and one in that.
_MOST_LEVELS = 3


def redact_address(address: str, level: int = 0) -> str:
    """Return an address with the secrets in its path, query and fragment masked."""
    is_api = _API.search(address.partition("?")[0]) is not None

    def mask(match: re.Match[str]) -> str:
        name, value = match.groups()
        words = unquote(name)
        is_state = _LOGIN_STATE.match(words) is not None and not is_api
        if is_state or _SECRET_NAME.match(words):
            return f"{name}={HIDDEN}"
        inner = value
        for _ in range(_MOST_LEVELS):
            inner = unquote(inner)
        if level < _MOST_LEVELS and "=" in inner:
            redacted = redact_address(inner, level + 1)
            if redacted != inner:
                return f"{name}={quote(redacted, safe='[]')}"
        return match.group()

    return _PARAMETER.sub(mask, _SECRET_PATH.sub(rf"\1{HIDDEN}", address))


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request with credentials, and secrets in addresses, masked."""
    return {name: _redact_header(name, value) for name, value in headers.items()}


def _redact_header(name: str, value: str) -> str:
    if _LOGIN_HEADER.search(name):
        scheme, space, _ = value.partition(" ")
        is_scheme = bool(space) and scheme.isalpha() and name.lower().endswith("authorization")
        return f"{scheme} {HIDDEN}" if is_scheme else HIDDEN
    # A browser's web socket sends a token in the list of its protocols.
    is_protocol = name.lower() == "sec-websocket-protocol" and "token" in value.lower()
    # X-XSRFToken, X-Forwarded-Access-Token, X-Api-Key.
    if is_protocol or "token" in name.lower() or _SECRET_NAME.match(name):
        return HIDDEN
    return redact_address(value)


def replace_redaction() -> None:
    """Have JupyterHub's request log use these functions."""
    log._scrub_uri = redact_address
    log._scrub_headers = redact_headers
