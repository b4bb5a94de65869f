"""Which users `tljh user prune` removes, and which stay."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from tests.operations.test_converge import PATHS, machine
from tljh.base.errors import TljhError
from tljh.hub.user_directory import UserDirectory, UserRecord
from tljh.operations.user_changes import HubUsers
from tljh.operations.user_pruning import choose_inactive, parse_age
from tljh.settings.load import load
from tljh.settings.root import Config
from tljh.users.declared_access import HubUser

LIMIT = datetime(2024, 1, 1, tzinfo=timezone.utc)
OLD, NEW = "2021-05-01T08:00:00.000000Z", "2025-05-01T08:00:00.000000Z"


def record(name: str, access: str = "listed", *, servers: tuple[str, ...] = ()) -> UserRecord:
    home = f"/home/jupyter-{name}"
    return UserRecord(name, access, False, f"jupyter-{name}", False, True, servers, (), OLD, home)


def choose(*users: HubUser, records: tuple[UserRecord, ...] = ()):
    directory = UserDirectory({each.name: each for each in records}, hub_answers=True)
    return choose_inactive(HubUsers(machine(), PATHS, Config(), directory), users, LIMIT)


def test_users_who_left_are_chosen_longest_away_first_with_their_homes():
    chosen = choose(
        HubUser("later", last_activity="2022-01-01T00:00:00Z"),
        HubUser("here", last_activity=NEW, created=OLD),
        HubUser("left", last_activity=OLD),
        records=(record("left"),),
    )
    assert [user.name for user in chosen.users] == ["left", "later"]
    assert chosen.users[0].home == "/home/jupyter-left"
    assert chosen.kept == {}


def test_a_user_who_was_never_seen_counts_from_the_day_of_the_sign_up():
    chosen = choose(HubUser("new", created=NEW), HubUser("never", created=OLD), HubUser("unknown"))
    assert [user.name for user in chosen.users] == ["never"]


def test_admins_banned_users_and_users_with_a_server_stay():
    chosen = choose(
        HubUser("boss", is_admin=True, last_activity=OLD),
        HubUser("busy", servers=("",), last_activity=OLD),
        HubUser("banned", last_activity=OLD),
        records=(record("banned", "banned"),),
    )
    assert chosen.users == ()
    assert chosen.kept == {"admin": 1, "running server": 1, "banned": 1}


@pytest.mark.parametrize(
    ("text", "days"), [("2y", 730.5), ("6m", 182.625), ("26w", 182), ("90d", 90), ("1.5Y", 547.875)]
)
def test_ages_are_written_in_units_of_days_to_years(text, days):
    assert parse_age(text) == timedelta(days=days)


@pytest.mark.parametrize("text", ["", "2", "y", "-2y", "1h", "two years", "0d", "6d", "0.1w"])
def test_a_wrong_or_short_age_is_refused(text):
    with pytest.raises(TljhError, match="--inactive"):
        parse_age(text)


def test_a_culler_that_removes_users_is_warned_of():
    from tljh.settings.load import examine

    text = b"services:\n  cull:\n    users: true\n"
    assert load(text).services.cull.users
    (warning,) = examine(text).findings("warning")
    assert "every user who is idle" in warning.what
    assert "tljh user prune" in str(warning.fix)
    assert not examine(b"services: {cull: {users: true, enabled: false}}\n").findings("warning")
