"""The lists of users that the running hub loaded, wherever they came from.

config.yaml, a section of a class, a drop-in and a plugin can all name users. Only the hub knows
the result, so it writes it to a file at each start. Commands and checks read the file: what
config.yaml says alone may be wrong.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass(frozen=True)
class EffectiveLists:
    """Login names as the hub normalized them; `loaded` is when a hub first had them.

    `named` are those in loaded groups and roles. `login` is the path of the authenticator's class.
    """

    loaded: datetime
    allowed: frozenset[str] = frozenset()
    admins: frozenset[str] = frozenset()
    banned: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    login: str = ""

    @property
    def permitted(self) -> frozenset[str]:
        return (self.allowed | self.admins) - self.banned

    @property
    def recorded(self) -> frozenset[str]:
        """The users for whom the starting hub makes records, with which they may log in."""
        return self.permitted | (self.named - self.banned)

    def as_bytes(self) -> bytes:
        value = {
            "loaded": self.loaded.isoformat(),
            "allowed": sorted(self.allowed),
            "admins": sorted(self.admins),
            "banned": sorted(self.banned),
            "named": sorted(self.named),
            "login": self.login,
        }
        return json.dumps(value, indent=1).encode() + b"\n"


def read_effective(data: bytes | None) -> EffectiveLists | None:
    """Parse the file of the lists that the hub loaded; None if missing or not valid."""
    try:
        value = json.loads(data or b"")
        return EffectiveLists(
            datetime.fromisoformat(value["loaded"]).astimezone(timezone.utc),
            frozenset(value["allowed"]),
            frozenset(value["admins"]),
            frozenset(value["banned"]),
            # Missing in a file of an earlier release.
            frozenset(value.get("named", ())),
            str(value.get("login", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
