"""Changes of the lists of users: config.yaml is as it was, or the change is complete."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest

from tests.operations.test_converge import (
    ANSWERS,
    PATHS,
    install,
    machine,
    no_conda,  # noqa: F401
    reload,
)
from tljh.base.errors import Exit, TljhError
from tljh.base.progress import SilentProgress
from tljh.engine.journal import Journal
from tljh.host.fake import FakeHost, Killed
from tljh.host.interface import Response
from tljh.operations.installed_config import get_config_lock
from tljh.operations.shares import add_share, remove_share
from tljh.operations.user_additions import UsersToAdd, add_users
from tljh.operations.user_changes import read_users
from tljh.operations.user_claims import renew_claim
from tljh.operations.user_import import import_entries, read_entries
from tljh.operations.user_removals import disable_users, enable_users, remove_users
from tljh.settings.load import load
from tljh.users.claims import claim_file, read_claim
from tljh.users.declared_access import collect_declared, read_declared

API = "http://127.0.0.1:15001/hub/api"
USERS = f"{API}/users?offset=0&limit=200"

INDENTED_BY_FOUR = b"""\
# ours
users:
    admin: # the boss
        - ada
    allowed:
        - bob
limits: {memory: 2G}
"""


def installed() -> FakeHost:
    """Return a machine with a hub, whose config.yaml is indented by four."""
    host = machine()
    host.mkdir(Path("/srv"), mode=0o755)
    install(host, ANSWERS)
    host.responses[USERS] = Response(200, json.dumps({"items": [], "_pagination": {"next": None}}))
    host.responses[f"{API}/users"] = Response(201, "")
    for name in ("ann", "bob"):
        host.responses[f"{API}/tljh/users/{name}"] = Response(204, "")
    reload(host, INDENTED_BY_FOUR)
    return host


def add_ann(host: FakeHost) -> None:
    addition = UsersToAdd(names=("ann",), groups=("video",))
    add_users(read_users(host, PATHS), addition, SilentProgress())


def remove_bob(host: FakeHost) -> None:
    remove_users(read_users(host, PATHS), ["bob"], SilentProgress())


def import_class(host: FakeHost) -> None:
    users = read_users(host, PATHS)
    entries = read_entries(users, b"name,groups\nann,video\n")
    import_entries(users, entries, "class.csv", SilentProgress())


def disable_bob(host: FakeHost) -> None:
    disable_users(read_users(host, PATHS), ["bob"], SilentProgress())


def share_folder(host: FakeHost) -> None:
    add_share(read_users(host, PATHS), "course", "pupils", SilentProgress())


CHANGES = {
    "user add": add_ann,
    "user remove": remove_bob,
    "user import": import_class,
    "user disable": disable_bob,
    "share add": share_folder,
}


def config(host: FakeHost) -> bytes:
    return host.read(PATHS.config_file) or b""


def last_command(host: FakeHost) -> str:
    return list(Journal(PATHS.journal_dir).entries(host))[-1].command


def added_lines(before: bytes, after: bytes) -> list[str]:
    lines = after.decode().splitlines()
    for line in before.decode().splitlines():
        lines.remove(line)
    return lines


def test_a_file_indented_by_four_keeps_its_format() -> None:
    host = installed()
    add_users(read_users(host, PATHS), UsersToAdd(("ann",)), SilentProgress())
    assert added_lines(INDENTED_BY_FOUR, config(host)) == ["        - ann"]
    assert last_command(host) == "user add ann"


def test_changes_and_their_opposites_leave_the_file_as_it_was() -> None:
    host = installed()
    add_ann(host)
    remove_users(read_users(host, PATHS), ["ann"], SilentProgress())
    assert config(host) == INDENTED_BY_FOUR
    share_folder(host)
    remove_share(read_users(host, PATHS), "course", SilentProgress())
    assert config(host) == INDENTED_BY_FOUR
    disable_bob(host)
    enable_users(read_users(host, PATHS), ["bob"], SilentProgress())
    assert added_lines(INDENTED_BY_FOUR, config(host)) == ["    banned: []"]


def test_who_is_listed_already_changes_nothing() -> None:
    host = installed()
    effects = len(host.effects)
    added = add_users(read_users(host, PATHS), UsersToAdd(("Bob",)), SilentProgress())
    assert added.users[0].was_listed
    assert len(host.effects) == effects


def test_an_admin_who_is_added_as_a_user_stays_an_admin_and_gets_the_groups() -> None:
    host = installed()
    add_users(read_users(host, PATHS), UsersToAdd(("gina",), is_admin=True), SilentProgress())
    before = config(host)
    added = add_users(read_users(host, PATHS), UsersToAdd(("Gina", "ann")), SilentProgress())
    assert [user.stays_admin for user in added.users] == [True, False]
    assert added_lines(before, config(host)) == ["        - ann"]
    groups = UsersToAdd(("gina",), groups=("video",))
    assert add_users(read_users(host, PATHS), groups, SilentProgress()).users[0].stays_admin
    assert b"video" in config(host)


def test_a_name_that_cannot_be_one_is_refused_and_nothing_changes() -> None:
    host = installed()
    effects = len(host.effects)
    with pytest.raises(TljhError, match=r"users\.allowed"):
        add_users(read_users(host, PATHS), UsersToAdd(("a/../b",)), SilentProgress())
    assert len(host.effects) == effects


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("lock", ["the apply lock", "the lock of config.yaml"])
def test_interrupted_while_it_waits_for_a_lock_it_changes_nothing(
    change: Callable[[FakeHost], None], lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = installed()
    waited_for = PATHS.lock if lock == "the apply lock" else get_config_lock(host, PATHS)
    acquire = FakeHost.lock

    def interrupted(self: FakeHost, path: object, **options: float) -> object:
        if path == waited_for:
            raise KeyboardInterrupt
        return acquire(self, path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(FakeHost, "lock", interrupted)
    effects = len(host.effects)
    with pytest.raises(KeyboardInterrupt):
        change(host)
    assert len(host.effects) == effects
    assert config(host) == INDENTED_BY_FOUR


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_held_lock_is_exit_code_4_and_changes_nothing(change: Callable[[FakeHost], None]) -> None:
    host = installed()
    with host.lock(get_config_lock(host, PATHS), timeout_s=1), pytest.raises(TljhError) as caught:
        change(host)
    assert caught.value.exit_code is Exit.LOCKED
    assert config(host) == INDENTED_BY_FOUR


class Snapshot:
    """A machine as it was, to be tried again."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.state = {name: copy(getattr(host, name)) for name in self.NAMES}

    NAMES = ("files", "accounts", "group_entries", "packages", "unit_states", "expired", "effects")

    def restore(self) -> None:
        for name in self.NAMES:
            setattr(self.host, name, copy(self.state[name]))


def is_whole(host: FakeHost, command: str) -> bool:
    """Return whether the change is complete; fail if it is neither that nor rolled back."""
    declared = collect_declared(load(config(host)))
    applied = read_declared(host.read(PATHS.ledger))
    assert applied is not None
    assert (declared.allowed, declared.banned, declared.groups) == (
        applied.allowed,
        applied.banned,
        applied.groups,
    )
    is_changed = config(host) != INDENTED_BY_FOUR
    is_in_history = any(
        entry.command.startswith(command) for entry in Journal(PATHS.journal_dir).entries(host)
    )
    assert is_changed is is_in_history
    return is_changed


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left"), Killed()])
@pytest.mark.parametrize("command", CHANGES)
def test_stopped_before_any_effect_it_is_rolled_back_or_complete(
    command: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = installed()
    snapshot = Snapshot(host)
    start = len(host.effects)
    CHANGES[command](host)
    count = len(host.effects) - start
    assert count > 5
    effect = FakeHost._record_effect
    stop_at: list[int] = []

    def stopped(self: FakeHost, what: str) -> None:
        if stop_at and len(self.effects) == stop_at[0]:
            stop_at.clear()
            raise error
        effect(self, what)

    monkeypatch.setattr(FakeHost, "_record_effect", stopped)
    outcomes = set()
    for number in range(start, start + count):
        snapshot.restore()
        stop_at[:] = [number]
        with pytest.raises((TljhError, KeyboardInterrupt, OSError, Killed)):
            CHANGES[command](host)
        if Journal(PATHS.journal_dir).is_pending(host):
            # Killed, or stopped while the entry was closed: the next command rolls it back.
            reload(host)
        outcomes.add(is_whole(host, command))
    assert False in outcomes


@pytest.mark.parametrize("group", ["sudo", "docker", "jupyterhub-admins", "lxd", "disk"])
def test_a_group_that_gives_root_is_refused_unless_it_is_said(group: str) -> None:
    host = installed()
    before = config(host)
    addition = UsersToAdd(names=("ann",), groups=(group,))
    with pytest.raises(TljhError, match="can become root"):
        add_users(read_users(host, PATHS), addition, SilentProgress())
    (entry,) = read_entries(read_users(host, PATHS), f"name,groups\nann,{group}\n".encode())
    assert entry.state == "invalid" and "--gives-root" in entry.problem
    assert config(host) == before
    add_users(read_users(host, PATHS), replace(addition, gives_root=True), SilentProgress())
    assert group.encode() in config(host)


def test_a_class_gets_a_claim_link_each_and_the_same_ones_again() -> None:
    host = installed()
    users = read_users(host, PATHS)
    entries = read_entries(users, b"name,admin\nann,\neve,yes\n")
    access, _ = import_entries(users, entries, "c.csv", SilentProgress(), gives="claim links")
    links = {user.name: user.claim_link or "" for user in access}
    assert list(links) == ["ann", "eve"]
    for name, link in links.items():
        claim = read_claim(host.read(claim_file(PATHS.claims_dir, name)) or b"")
        assert claim is not None and claim.token in link
    again, _ = import_entries(users, entries, "c.csv", SilentProgress(), gives="claim links")
    assert {user.name: user.claim_link for user in again} == links


def test_a_class_without_passwords_is_reported_but_not_those_with_a_claim_link() -> None:
    host = installed()
    users = read_users(host, PATHS)
    entries = read_entries(users, b"ann\npaul\n")
    _, notes = import_entries(users, entries, "class.csv", SilentProgress())
    assert "2 users have no password yet" in notes[0] and "--generate" in notes[0]
    added = add_users(users, UsersToAdd(("paul",)), SilentProgress())
    assert "sudo tljh user claim paul" in added.notes[-1]
    import_entries(users, entries[:1], "class.csv", SilentProgress(), gives="claim links")
    _, notes = import_entries(users, entries, "class.csv", SilentProgress())
    assert "1 user has no password yet" in notes[0]


def test_native_takes_claim_links_but_no_generated_passwords() -> None:
    host = installed()
    reload(host, b"auth: {type: native}\n" + INDENTED_BY_FOUR)
    users = read_users(host, PATHS)
    entries = read_entries(users, b"ann\n")
    with pytest.raises(TljhError, match="native") as caught:
        import_entries(users, entries, "c.csv", SilentProgress(), gives="passwords")
    assert "--claim-links" in (caught.value.findings[0].fix or "")
    access, _ = import_entries(users, entries, "c.csv", SilentProgress(), gives="claim links")
    assert access[0].claim_link


def test_without_pages_no_claim_link_is_made_and_the_way_by_tokens_is_printed() -> None:
    host = installed()
    pages = host.responses["http://127.0.0.1:80/hub/login"]
    host.responses["http://127.0.0.1:80/hub/api/health"] = pages
    reload(host, b"hub: {mode: api-only}\n" + INDENTED_BY_FOUR)
    addition = UsersToAdd(("eve",), is_admin=True)
    added = add_users(read_users(host, PATHS), addition, SilentProgress())
    assert added.users[0].claim_link is None
    assert added.notes == (
        "note: hub.mode is api-only: no user logs in by a page; the API of the hub takes a token: "
        "sudo tljh token create NAME --scopes SCOPES",
    )
    with pytest.raises(TljhError, match="no claim links while") as caught:
        renew_claim(host, PATHS, "eve")
    assert "sudo tljh token create eve" in (caught.value.findings[0].fix or "")
    assert host.info(claim_file(PATHS.claims_dir, "eve")) is None
    reload(host, config(host).replace(b"api-only", b"no-pages-at-root"))
    assert host.info(claim_file(PATHS.claims_dir, "eve")) is not None
