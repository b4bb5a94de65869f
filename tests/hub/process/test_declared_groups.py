"""Groups of config.yaml in the hub's database."""

from __future__ import annotations

import pytest
from jupyterhub import orm

from tljh.base.paths import Paths
from tljh.host.fake import FakeHost
from tljh.hub.process.declared_groups import follow_groups, read_members

LEDGER = Paths().hub_groups


@pytest.fixture
def db():
    return orm.new_session_factory("sqlite:///:memory:")()


def load(db, groups: dict[str, list[str]]) -> None:
    """Add groups and members, as JupyterHub does at its start."""
    for name, members in groups.items():
        group = orm.Group.find(db, name) or orm.Group(name=name)
        db.add(group)
        for member in members:
            user = orm.User.find(db, member) or orm.User(name=member)
            db.add(user)
            if user not in group.users:
                group.users.append(user)
    db.commit()


def read(db) -> dict[str, list[str]]:
    return {group.name: sorted(user.name for user in group.users) for group in db.query(orm.Group)}


def follow(db, host, groups: dict[str, list[str]], declared: set[str] | None = None) -> list[str]:
    """Load groups and follow them, as a hub does at its start; by default all of config.yaml."""
    loaded = {name: frozenset(members) for name, members in groups.items()}
    before = read_members(db, loaded)
    load(db, groups)
    declared = set(groups) if declared is None else declared
    return follow_groups(db, host, LEDGER, loaded=loaded, declared=declared, before=before)


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost()
    host.mkdir(LEDGER.parent.parent, mode=0o755)
    host.mkdir(LEDGER.parent, mode=0o700)
    return host


def test_members_and_groups_that_the_file_lost_are_removed_and_those_of_admins_stay(db, host):
    load(db, {"made on the page": ["eve"]})
    assert follow(db, host, {"tutors": ["ann", "bob"], "course": ["eve"]}) == []
    assert follow(db, host, {"tutors": ["ann"]}) == ["course", "tutors"]
    assert read(db) == {"tutors": ["ann"], "made on the page": ["eve"]}
    assert follow(db, host, {}) == ["tutors"]
    assert read(db) == {"made on the page": ["eve"]}


def test_members_of_a_drop_in_that_is_gone_are_removed_and_those_of_the_page_stay(db, host):
    load(db, {"tutors": ["ann", "zoe"]})
    follow(db, host, {"tutors": ["ann", "bob"], "graders": ["bob"]}, declared=set())
    # An admin adds a member on the hub's page. The drop-in is loaded once more, as after a crash.
    load(db, {"tutors": ["eve"]})
    follow(db, host, {"tutors": ["ann", "bob"], "graders": ["bob"]}, declared=set())
    assert follow(db, host, {}, declared=set()) == ["graders", "tutors"]
    assert read(db) == {"tutors": ["ann", "eve", "zoe"]}


def test_a_group_of_a_drop_in_with_members_of_the_page_stays_with_these(db, host):
    follow(db, host, {"graders": ["bob"]}, declared=set())
    load(db, {"graders": ["eve"]})
    follow(db, host, {}, declared=set())
    assert read(db) == {"graders": ["eve"]}


@pytest.mark.parametrize("content", [b"{", b"[]", b'["tutors"]', b'{"declared": 1}'])
def test_a_damaged_ledger_removes_nothing(db, host, content):
    host.write(LEDGER, content, mode=0o600)
    assert follow(db, host, {"tutors": ["ann"]}) == []
    assert read(db) == {"tutors": ["ann"]}
