"""From what somebody logs in with to a Linux account: valid, distinct and stable.

TLJH's mapping is kept wherever its result was a usable account, so that a machine that is taken
over keeps its homes. Every other accepted name gets a digest, in lengths that neither TLJH's
literal names (up to 25 characters) nor its shortened ones (32) can have, so that the three
ranges never meet.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

PREFIX = "jupyter-"


# Refused wherever a name comes from: what means something to a shell, a URL, a template, a
# Traefik rule, a unit name or a path. Any letter of any script is fine.
USERNAME_PATTERN = r"(?!.*\.\.)[\w@+=~][\w.@+=~ -]{0,199}"


_PLAIN = re.compile(r"[a-z0-9._@+-]+")


_LITERAL_LENGTH = 26


_UNIT_SAFE = re.compile(r"[a-z0-9_.-]")


_SECOND_OR_LAST_DASH = re.compile(r"(?<=-)-|-$")


def is_acceptable(login: str) -> bool:
    """Whether a login name may get an account at all."""
    return re.fullmatch(USERNAME_PATTERN, login) is not None and login == login.strip()


def shortened(name: str) -> str:
    """TLJH's rule: from 26 characters on, the first 26, a dash and 5 hex digits of the sha256."""
    if len(name) < _LITERAL_LENGTH:
        return name
    return f"{name[:_LITERAL_LENGTH]}-{hashlib.sha256(name.encode()).hexdigest()[:5]}"


def account_name(login: str) -> str:
    """The Linux account of a login name.

    Raises ValueError for a name that `is_acceptable` refuses.
    """
    if not is_acceptable(login):
        raise ValueError(f"no account can be made for the login name {login!r}")
    if _PLAIN.fullmatch(login):
        return shortened(PREFIX + login)
    letters = unicodedata.normalize("NFKD", login).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]", "", letters)[:5]
    # 26 to 31 characters in all.
    digest = hashlib.sha256(login.encode()).hexdigest()[:17]
    return f"{PREFIX}{slug}-{digest}"


def unit_name(account: str, server: str = "") -> str:
    """The unit of a user's server, always with its suffix; no two servers share one.

    What systemd takes in no name, and what means something in one (`@`), becomes `X` and its
    code; a capital does, too. Systemd's own escapes have a backslash, which it drops from
    RuntimeDirectory=, so that a server so named never finds its environment.
    """
    # The first two dashes end the account, so it has no two in a row, and none at its end.
    whose = _SECOND_OR_LAST_DASH.sub("X2d", _in_unit(account))
    return f"{whose}--{_in_unit(server)}.service" if server else f"{whose}.service"


def _in_unit(text: str) -> str:
    return "".join(
        c if _UNIT_SAFE.fullmatch(c) else "".join(f"X{byte:02x}" for byte in c.encode())
        for c in text
    )
