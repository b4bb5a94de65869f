"""Claims: one-time links by which an admin sets the first password.

A claim is a file that only root can read, named after the login name; it holds a token and its
expiry. Without it, a stranger could open the login page before the admin does, choose a password
for the admin's name, and be root.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

from tljh.base.clock import utc_now

# Long enough for an installation on Friday to be claimed on Monday.
LIFETIME = timedelta(hours=72)


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
        """Return the claim link without scheme and host; `base_url` ends in a slash."""
        query = urlencode({"name": self.login, "token": self.token})
        return f"{base_url}hub/claim?{query}"

    def as_bytes(self) -> bytes:
        value = {
            "login": self.login,
            "token": self.token,
            "expires": self.expires.isoformat(timespec="seconds"),
        }
        return json.dumps(value).encode() + b"\n"


def new_claim(login: str, time: datetime | None = None) -> Claim:
    """Return a claim with a new token, valid for `LIFETIME` from `time` (default: now)."""
    return Claim(login, secrets.token_urlsafe(24), (time or utc_now()) + LIFETIME)


def read_claim(data: bytes) -> Claim | None:
    """Parse the content of a claim file; return None if it is not a claim."""
    try:
        value = json.loads(data)
        return Claim(value["login"], value["token"], datetime.fromisoformat(value["expires"]))
    except (ValueError, KeyError, TypeError):
        return None


def claim_file(claims_dir: Path, login: str) -> Path:
    """Return the path of the claim of `login`.

    The name is URL-quoted, so that a name such as `../x` stays inside the directory of claims.
    """
    return claims_dir / (quote(login, safe="") + ".json")
