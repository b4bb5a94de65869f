"""Claims: a one-time link by which an administrator, and nobody else, sets the first password.

A claim is a root-only file named like the login: token and expiry. Whoever reaches the login
page first cannot become an administrator by taking the name.
"""

from __future__ import annotations

import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote, urlencode

# Long enough for an installation on Friday to be claimed on Monday.
LIFETIME = timedelta(hours=72)


DIRECTORY = "claims"


@dataclass(frozen=True)
class Claim:
    """The right to set the first password of one login name, until `expires`."""

    login: str
    token: str
    expires: datetime

    def is_valid(self, now: datetime) -> bool:
        return now < self.expires

    def allows(self, token: str, now: datetime) -> bool:
        return self.is_valid(now) and hmac.compare_digest(self.token.encode(), token.encode())

    def path(self, base_url: str) -> str:
        """The link below the site's address."""
        query = urlencode({"name": self.login, "token": self.token})
        return f"{base_url}hub/claim?{query}"

    def as_bytes(self) -> bytes:
        value = {
            "login": self.login,
            "token": self.token,
            "expires": self.expires.isoformat(timespec="seconds"),
        }
        return json.dumps(value).encode() + b"\n"


def new_claim(login: str, now: datetime | None = None) -> Claim:
    return Claim(login, secrets.token_urlsafe(24), (now or _now()) + LIFETIME)


def read_claim(data: bytes) -> Claim | None:
    """A claim from its file; None for a file that is not one."""
    try:
        value = json.loads(data)
        return Claim(value["login"], value["token"], datetime.fromisoformat(value["expires"]))
    except (ValueError, KeyError, TypeError):
        return None


def claim_file(state_dir: Path, login: str) -> Path:
    """Where the claim of a login lies; the name is quoted, so it cannot leave the directory."""
    return state_dir / DIRECTORY / (quote(login, safe="") + ".json")


def _now() -> datetime:
    return datetime.now(timezone.utc)
