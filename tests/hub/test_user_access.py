"""Users' access changed in the hub and on a machine in memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.engine.apply import ChangeContext, apply, recover
from tljh.engine.journal import Journal
from tljh.engine.plan import plan
from tljh.host.accounts import ADMINS_GROUP, Account, ensure_account, is_expired
from tljh.host.fake import FakeHost, Killed
from tljh.host.interface import Response, UnitInfo, UserInfo
from tljh.hub.user_access import UserAccess
from tljh.users.declared_access import DeclaredAccess, read_declared

STATE = Path("/state")
LEDGER = STATE / "users.json"
HUB_LISTS = Path("/opt/tljh/state/hub-lists.json")
HUB_FILE = Path("/opt/tljh/state/applied/hub.json")
TOKEN = STATE / "hub-api.secret"
URL = "http://127.0.0.1:15001/hub/api"
BOB = DeclaredAccess(frozenset({"alice", "bob"}), admins=frozenset({"bob"}))
NO_BOB = DeclaredAccess(frozenset({"alice"}))


class Hub:
    """A hub's API in memory."""

    def __init__(self, host: FakeHost, *names: str) -> None:
        self.users = set(names)
        self.actions: list[str] = []
        self.is_up = True
        plain = host.http

        def http(method, url, *, body=None, **options):
            if not self.is_up or not url.startswith(URL):
                return plain(method, url, body=body, **options)
            path = url.removeprefix(URL).partition("?")[0]
            content = json.loads(body) if body else {}
            if path == "/users" and method == "GET":
                items = [{"name": name, "servers": {}} for name in sorted(self.users)]
                return Response(200, json.dumps({"items": items, "_pagination": {"next": None}}))
            if path == "/users":
                self.users |= set(content["usernames"])
                return Response(201)
            name = path.rpartition("/")[2]
            self.actions.append(f"{content['action']} {name}")
            if content["action"] == "shut-out":
                self.users.discard(name)
            return Response(204)

        host.http = http


@pytest.fixture
def host():
    host = FakeHost()
    host.mkdir(STATE, mode=0o700)
    host.mkdir(Path("/home"), mode=0o755)
    host.mkdir(Path("/home/jupyter-alice"), mode=0o755)
    host.mkdir(Path("/home/jupyter-bob"), mode=0o755)
    host.write(TOKEN, b"token\n", mode=0o600)
    host.add_group(ADMINS_GROUP)
    ensure_account(host, Account("jupyter-alice", "alice"))
    ensure_account(host, Account("jupyter-bob", "bob", is_admin=True))
    return host


@pytest.fixture
def hub(host):
    return Hub(host, "alice", "bob", "carol")


def user_access(declared: DeclaredAccess, **options) -> UserAccess:
    return UserAccess(declared, LEDGER, HUB_LISTS, HUB_FILE, URL, TOKEN, **options)


def apply_access(host: FakeHost, declared: DeclaredAccess, health=lambda: None, **options):
    context = ChangeContext("root", "test", {})
    journal = Journal(STATE / "journal")
    return apply(
        plan([user_access(declared, **options)], host),
        host,
        journal,
        context,
        progress=SilentProgress(),
        health=health,
    )


def test_a_second_time_nothing_is_planned(host, hub):
    assert apply_access(host, BOB)
    assert not plan([user_access(BOB)], host)


def test_a_removed_user_loses_hub_account_and_sudo(host, hub):
    apply_access(host, BOB)
    host.unit_states["jupyter-bob.service"] = UnitInfo("jupyter-bob.service", active="active")
    host.unit_states["jupyter-bob--lab.service"] = UnitInfo(
        "jupyter-bob--lab.service", active="active"
    )
    host.unit_states["jupyter-bobby.service"] = UnitInfo("jupyter-bobby.service", active="active")
    apply_access(host, NO_BOB)
    assert hub.actions == ["shut-out bob"]
    assert is_expired(host, "jupyter-bob")
    assert "jupyter-bob" not in host.group(ADMINS_GROUP).members
    assert not host.unit("jupyter-bob.service").is_active
    assert not host.unit("jupyter-bob--lab.service").is_active
    assert host.unit("jupyter-bobby.service").is_active
    assert not is_expired(host, "jupyter-alice")


def test_the_plan_names_each_user_that_it_changes(host, hub):
    apply_access(host, BOB)
    text = plan([user_access(NO_BOB)], host).as_text()
    assert "1 shut out" in text
    assert "bob: shut out" in text


def test_the_plan_of_a_class_of_500_can_be_read(host, hub):
    apply_access(host, BOB)
    pupils = frozenset(f"pupil-{number}" for number in range(500))
    lines = plan([user_access(DeclaredAccess(pupils))], host).as_text().splitlines()
    assert len(lines) < 30
    assert any("bob: shut out" in line for line in lines)


def test_an_account_of_the_machines_own_that_has_expired_is_not_unlocked(host, hub):
    host.accounts["bob"] = UserInfo("bob", 1500, 1500, "/home/bob", "/bin/bash")
    apply_access(host, BOB, has_own_accounts=False)
    apply_access(host, NO_BOB, has_own_accounts=False)
    host.lock_user("bob")
    apply_access(host, BOB, has_own_accounts=False)
    assert is_expired(host, "bob")


def test_a_user_who_is_added_again_is_unlocked(host, hub):
    apply_access(host, BOB)
    apply_access(host, NO_BOB)
    apply_access(host, BOB)
    assert not is_expired(host, "jupyter-bob")
    assert "jupyter-bob" in host.group(ADMINS_GROUP).members


def test_a_former_admin_loses_sudo_and_what_runs_with_it(host, hub):
    apply_access(host, BOB)
    apply_access(host, DeclaredAccess(frozenset({"alice", "bob"})))
    assert hub.actions == ["demote bob"]
    assert "jupyter-bob" not in host.group(ADMINS_GROUP).members
    assert not is_expired(host, "jupyter-bob")
    assert any(effect.startswith("run loginctl terminate-user") for effect in host.effects)


def test_an_account_that_tljh_did_not_make_is_left_alone(host, hub):
    host.accounts["jupyter-eve"] = UserInfo("jupyter-eve", 999, 999, "/nowhere", "/bin/false")
    apply_access(host, DeclaredAccess(banned=frozenset({"eve"})))
    assert hub.actions == ["shut-out eve"]
    assert not is_expired(host, "jupyter-eve")


def test_ordinary_accounts_of_the_machine_are_never_locked(host, hub):
    host.accounts["bob"] = UserInfo("bob", 1500, 1500, "/home/bob", "/bin/bash")
    apply_access(host, BOB, has_own_accounts=False)
    apply_access(host, NO_BOB, has_own_accounts=False)
    assert hub.actions == ["shut-out bob"]
    assert not any(effect.startswith("lock") for effect in host.effects)


def test_a_user_in_no_list_can_be_removed(host, hub):
    apply_access(host, BOB)
    apply_access(host, BOB, removing=frozenset({"carol"}))
    assert hub.actions == ["shut-out carol"]


def test_groups_change_for_users_with_an_account_and_wait_for_the_others(host, hub):
    groups = {"video": frozenset({"alice", "carol"})}
    apply_access(host, DeclaredAccess(NO_BOB.allowed, groups=groups))
    assert host.group("video").members == ("jupyter-alice",)
    apply_access(host, NO_BOB)
    assert host.group("video").members == ()


def test_a_common_group_is_joined_by_all_accounts_and_left_by_those_not_listed(host, hub):
    common_groups = frozenset({"render"})
    apply_access(host, DeclaredAccess(NO_BOB.allowed, common_groups=common_groups))
    assert set(host.group("render").members) == {"jupyter-alice", "jupyter-bob"}
    apply_access(host, DeclaredAccess(NO_BOB.allowed, groups={"render": frozenset({"alice"})}))
    assert host.group("render").members == ("jupyter-alice",)


def test_a_hub_that_does_not_answer_rolls_the_change_back(host, hub):
    apply_access(host, BOB)
    hub.is_up = False
    with pytest.raises(TljhError, match="does not let tljh end"):
        apply_access(host, NO_BOB)
    assert read_declared(host.read(LEDGER)).allowed == BOB.allowed


def test_account_and_unit_are_closed_before_the_hub_acts(host, hub):
    apply_access(host, BOB)
    unit = "jupyter-bob.service"
    host.unit_states[unit] = UnitInfo(unit, active="active")
    at_action = []
    plain = host.http

    def http(method, url, **options):
        if "/tljh/users/" in url:
            at_action.append((is_expired(host, "jupyter-bob"), host.unit(unit).is_active))
        return plain(method, url, **options)

    host.http = http
    apply_access(host, NO_BOB)
    assert at_action == [(True, False)]


def test_a_server_started_while_the_hub_ends_the_session_is_stopped_too(host, hub):
    apply_access(host, BOB)
    unit = "jupyter-bob.service"
    plain = host.http

    def http(method, url, **options):
        if "/tljh/users/" in url:
            host.unit_states[unit] = UnitInfo(unit, active="active")
        return plain(method, url, **options)

    host.http = http
    apply_access(host, NO_BOB)
    assert not host.unit(unit).is_active


@pytest.mark.parametrize("after", [NO_BOB, DeclaredAccess(frozenset({"alice", "bob"}))])
def test_a_unit_that_does_not_stop_in_time_is_killed_and_keeps_nobody_in(host, hub, after):
    apply_access(host, BOB)
    unit = "jupyter-bob.service"
    host.unit_states[unit] = UnitInfo(unit, active="active")
    verbs = []

    def systemctl(verb, *units, timeout_s=90):
        verbs.append((verb, *units))
        raise TljhError("systemctl did not finish in time")

    host.systemctl = systemctl
    apply_access(host, after)
    assert ("kill", "--signal=KILL", unit) in verbs
    assert "jupyter-bob" not in host.group(ADMINS_GROUP).members
    assert is_expired(host, "jupyter-bob") == (after is NO_BOB)
    assert read_declared(host.read(LEDGER)).admins == frozenset()


def test_a_hub_that_is_unhealthy_afterwards_rolls_all_users_back(host, hub):
    def fail() -> None:
        raise TljhError("the hub is unhealthy")

    apply_access(host, BOB)
    before = host.read(LEDGER)
    with pytest.raises(TljhError, match="unhealthy"):
        apply_access(host, NO_BOB, health=fail)
    assert host.read(LEDGER) == before
    assert not is_expired(host, "jupyter-bob")
    assert "jupyter-bob" in host.group(ADMINS_GROUP).members
    assert "bob" in hub.users


def test_killed_at_any_effect_the_next_run_finishes(host, hub):
    apply_access(host, BOB)
    for number in range(1, 40):
        host.die_before = len(host.effects) + number
        try:
            apply_access(host, NO_BOB)
        except Killed:
            host.die_before = None
            recover(host, Journal(STATE / "journal"), SilentProgress())
            assert not is_expired(host, "jupyter-bob")
            assert read_declared(host.read(LEDGER)).allowed == BOB.allowed
            continue
        break
    host.die_before = None
    assert is_expired(host, "jupyter-bob")
    assert not plan([user_access(NO_BOB)], host)
