"""Claims: one-time links by which an admin sets the first password.

A claim is a file that only root can read, named after the login name; it holds a token and its
expiry. Without it, a stranger could open the login page before the admin does, choose a password
for the admin's name, and be root.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

from tljh.base.clock import get_utc_time

# Long enough for an installation on Friday to be claimed on Monday.
LIFETIME = timedelta(hours=72)

# A class gets its links days before its first lesson.
CLASS_LIFETIME = timedelta(days=14)


@dataclass(frozen=True)
class Claim:
    """Permission to set the first password of one login name, until `expires`."""

    login: str
    token: str
    expires: datetime

    def is_valid(self, time: datetime) -> bool:
        return time < self.expires

    def allows(self, token: str, time: datetime) -> bool:
        # Compared in constant time: the time of an answer must not reveal a part of the token.
        return self.is_valid(time) and hmac.compare_digest(self.token.encode(), token.encode())

    def path(self, base_url: str) -> str:
        """Return the path of the claim link, without scheme and host.

        `base_url` ends in a slash.
        """
        query = urlencode({"name": self.login, "token": self.token})
        return f"{base_url}hub/claim?{query}"

    def path_without_token(self, base_url: str) -> str:
        """Return the path of the page that asks for the token."""
        return f"{base_url}hub/claim?{urlencode({'name': self.login})}"

    def as_bytes(self) -> bytes:
        value = {
            "login": self.login,
            "token": self.token,
            "expires": self.expires.isoformat(timespec="seconds"),
        }
        return json.dumps(value).encode() + b"\n"


def make_claim(
    login: str,
    time: datetime | None = None,
    code: str | None = None,
    lifetime: timedelta = LIFETIME,
) -> Claim:
    """Return a claim that is valid for `lifetime` from `time` (default: now).

    Its token is the claim code that an admin gave; without one, it is random.
    """
    return Claim(login, code or secrets.token_urlsafe(24), (time or get_utc_time()) + lifetime)


def read_claim(data: bytes) -> Claim | None:
    """Parse the content of a claim file; return None if it is not a claim."""
    try:
        value = json.loads(data)
        return Claim(value["login"], value["token"], datetime.fromisoformat(value["expires"]))
    except (ValueError, KeyError, TypeError):
        return None


def claim_file(claims_dir: Path, login: str) -> Path:
    """Return the path of the file with a user's claim.

    The name is URL-quoted, so that a name such as `../x` stays inside the directory of claims.
    """
    return claims_dir / (quote(login, safe="") + ".json")


def used_claim_file(claims_dir: Path, login: str) -> Path:
    """Return the path of the mark that the last used claim of `login` leaves."""
    return claim_file(claims_dir, login).with_suffix(".used")


def used_mark(token: str) -> bytes:
    """Return the content of the mark: enough to recognize the link, not to use it."""
    return hashlib.sha256(token.encode()).hexdigest().encode() + b"\n"
