"""Mapping of login names to Linux account names: valid, distinct and stable.

TLJH's mapping is kept wherever its result was a usable account, so that an existing TLJH machine
keeps its homes. Every other accepted name gets a digest, in lengths that neither TLJH's literal
names (up to 25 characters) nor its shortened ones (32) can have, so that the three ranges never
overlap.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

PREFIX = "jupyter-"

# Characters with a meaning in a shell, a URL, a template, a Traefik rule, a unit name or a path
# are refused, whatever the source of the name. Letters of every script are allowed.
USERNAME_PATTERN = r"(?!.*\.\.)[\w@+=~][\w.@+=~ -]{0,199}"

_PLAIN = re.compile(r"[a-z0-9._@+-]+")
_LITERAL_LENGTH = 26
_UNIT_SAFE = re.compile(r"[a-z0-9_.-]")
_SECOND_OR_LAST_DASH = re.compile(r"(?<=-)-|-$")


def is_acceptable(login: str) -> bool:
    """Return whether a login name may have an account."""
    return re.fullmatch(USERNAME_PATTERN, login) is not None and login == login.strip()


def shorten(name: str) -> str:
    """Shorten a Linux account name by TLJH's rule.

    A name of 26 characters or more becomes its first 26, a dash, and 5 digits of its sha256.
    """
    if len(name) < _LITERAL_LENGTH:
        return name
    return f"{name[:_LITERAL_LENGTH]}-{hashlib.sha256(name.encode()).hexdigest()[:5]}"


def make_account_name(login: str) -> str:
    """Return the Linux account of a login name.

    Raises ValueError for a name that `is_acceptable` refuses.
    """
    if not is_acceptable(login):
        raise ValueError(f"the login name {login!r} cannot have an account")
    if _PLAIN.fullmatch(login):
        return shorten(PREFIX + login)
    letters = unicodedata.normalize("NFKD", login).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]", "", letters)[:5]
    # 26 to 31 characters in total: longer than a literal name, shorter than a shortened one.
    digest = hashlib.sha256(login.encode()).hexdigest()[:17]
    return f"{PREFIX}{slug}-{digest}"


def make_unit_name(account: str, server: str = "") -> str:
    """Return the systemd unit of a user's server, with its suffix; no two servers share one.

    Characters that systemd refuses in a name or gives a meaning (`@`), and capitals, become `X`
    and their code. systemd's own escapes contain a backslash, which it drops from
    RuntimeDirectory=: a server with such a name would never find its environment.
    """
    # `--` separates account and server name, so the account's part must neither contain two
    # dashes in a row nor end with one.
    account_part = _SECOND_OR_LAST_DASH.sub("X2d", _escape(account))
    return f"{account_part}--{_escape(server)}.service" if server else f"{account_part}.service"


def list_unit_names(account: str, login: str) -> tuple[str, ...]:
    """Return the systemd units that a user's server may have: ours, and The Littlest JupyterHub's.

    A server that ran during a takeover keeps its unit until it ends. Two dashes in a login name are
    left out: with them the unit could be another user's named server.
    """
    names = [make_unit_name(account)]
    if "--" not in login:
        names.append(f"{PREFIX}{login}.service")
    return tuple(dict.fromkeys(names))


def _escape(text: str) -> str:
    return "".join(
        c if _UNIT_SAFE.fullmatch(c) else "".join(f"X{byte:02x}" for byte in c.encode())
        for c in text
    )
