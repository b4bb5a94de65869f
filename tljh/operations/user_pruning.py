"""Users who have not been seen for long."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from tljh.base.clock import get_utc_time
from tljh.base.errors import Exit, TljhError
from tljh.operations.user_changes import HubUsers
from tljh.operations.user_passwords import connect_to_hub
from tljh.users.declared_access import HubUser

_UNITS = {"d": 1.0, "w": 7.0, "m": 365.25 / 12, "mo": 365.25 / 12, "y": 365.25}
_AGE = re.compile(r"(\d+(?:\.\d+)?) ?(d|w|m|mo|y)", re.IGNORECASE)

# A slip of the finger must not remove those who were here this week.
SHORTEST = timedelta(days=7)


@dataclass(frozen=True)
class InactiveUser:
    """A user who was last seen, or made and never seen, at a time."""

    name: str
    seen: datetime
    home: str | None


@dataclass(frozen=True)
class Pruning:
    """The users to remove, longest away first, and how many inactive ones stay, by reason."""

    users: tuple[InactiveUser, ...]
    kept: dict[str, int]


def parse_age(text: str) -> timedelta:
    """Return a time such as 2y, 6m, 26w or 90d. Raises TljhError for another text."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise TljhError(
            f"--inactive has to be a time such as 2y, 6m, 26w or 90d, not {text!r}",
            exit_code=Exit.USAGE,
        )
    age = timedelta(days=float(match[1]) * _UNITS[match[2].lower()])
    if age < SHORTEST:
        raise TljhError(
            f"--inactive has to be at least {SHORTEST.days} days, not {text}",
            why="users who were here this week have not left",
            exit_code=Exit.USAGE,
        )
    return age


def find_inactive(users: HubUsers, age: timedelta) -> Pruning:
    """Return the users without activity for so long; admins, and users with a server, stay.

    Raises TljhError if the hub does not answer: only it knows who was seen when.
    """
    hub_users = connect_to_hub(users.host, users.paths, users.config).users()
    if hub_users is None:
        raise TljhError(
            "the hub does not answer, so it is not known who was seen when",
            fix="see what is wrong: sudo tljh status",
        )
    return choose_inactive(users, hub_users, get_utc_time() - age)


def choose_inactive(users: HubUsers, hub_users: Sequence[HubUser], limit: datetime) -> Pruning:
    """Return which of the hub's users were last seen before `limit`, and which of these stay."""
    kept: dict[str, int] = {}
    inactive = []
    for user in hub_users:
        seen = _read_time(user.last_activity) or _read_time(user.created)
        if seen is None or seen >= limit:
            continue
        record = users.directory.users.get(user.name)
        reason = None
        if user.is_admin or (record is not None and record.is_admin):
            reason = "admin"
        elif user.servers or (record is not None and record.servers):
            reason = "running server"
        elif record is not None and record.access == "banned":
            reason = "banned"
        if reason is not None:
            kept[reason] = kept.get(reason, 0) + 1
        else:
            inactive.append(InactiveUser(user.name, seen, record.home if record else None))
    return Pruning(tuple(sorted(inactive, key=lambda user: user.seen)), kept)


def _read_time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
