"""Groups of config.yaml in the hub's database."""

from __future__ import annotations

import pytest
from jupyterhub import orm

from tljh.base.paths import Paths
from tljh.host.fake import FakeHost
from tljh.hub.process.declared_groups import follow_groups

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


def test_members_and_groups_that_the_file_lost_are_removed_and_those_of_admins_stay(db):
    host = FakeHost()
    host.mkdir(LEDGER.parent.parent, mode=0o755)
    host.mkdir(LEDGER.parent, mode=0o700)
    load(db, {"tutors": ["ann", "bob"], "course": ["eve"], "made on the page": ["eve"]})
    declared = {"tutors": ["ann", "bob"], "course": ["eve"]}
    assert follow_groups(db, host, LEDGER, declared) == []
    load(db, {"tutors": ["ann"]})
    assert follow_groups(db, host, LEDGER, {"tutors": ["ann"]}) == ["course", "tutors"]
    assert read(db) == {"tutors": ["ann"], "made on the page": ["eve"]}
    assert follow_groups(db, host, LEDGER, {}) == ["tutors"]
    assert read(db) == {"made on the page": ["eve"]}


def test_a_damaged_ledger_removes_nothing(db):
    host = FakeHost()
    host.mkdir(LEDGER.parent.parent, mode=0o755)
    host.mkdir(LEDGER.parent, mode=0o700)
    host.write(LEDGER, b"{", mode=0o600)
    load(db, {"tutors": ["ann"]})
    assert follow_groups(db, host, LEDGER, {"tutors": ["ann"]}) == []
    assert read(db) == {"tutors": ["ann"]}
