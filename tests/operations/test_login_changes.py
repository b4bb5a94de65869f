"""The plan says who can log in before and after a change of the way to log in."""

from __future__ import annotations

import pytest

from tests.operations.test_converge import PATHS, install, machine
from tljh.base.clock import get_utc_time
from tljh.operations.converge import Request, work_out
from tljh.operations.login_changes import describe_login_change
from tljh.settings.load import load
from tljh.users.effective_lists import EffectiveLists
from tljh.users.facts import UserFacts

LISTS = "users: {allowed: [ann, bob], admin: [boss]}\n"


def change(before: str, after: str, with_password=(), others=(), first_use=()) -> str:
    users = UserFacts({}, frozenset(with_password), first_use_logins=frozenset(first_use))
    configs = load(before.encode()), load(after.encode())
    return "\n".join(describe_login_change(*configs, users, frozenset(others)))


def test_nothing_is_said_while_the_login_stays():
    assert change(LISTS, "users: {allowed: [ann], admin: [boss]}") == ""


def test_a_provider_elsewhere_says_what_becomes_of_accounts_and_passwords():
    github = (
        "auth:\n  type: github\n  GitHubOAuthenticator: {client_id: a, client_secret: b,"
        " allowed_organizations: [lab]}\n"
    )
    text = change(LISTS, github + LISTS)
    assert "before: 3 users by name: first use" in text
    assert "after: 3 users by name, and whom the rules of the login admit: " in text
    assert "keep account and home" in text
    assert "stay for a way back" in text


def test_first_use_to_native_moves_passwords_and_names_who_has_none():
    text = change(LISTS, "auth: {type: native}\n" + LISTS, {"ann"})
    assert "passwords move" in text
    assert "have no password yet: bob, boss" in text


@pytest.mark.parametrize("value", ["true", "false"])
def test_opening_and_closing_the_hub_is_said(value):
    opened = f"auth: {{type: pam, allow_all: {value}}}\n{LISTS}"
    closed = f"auth: {{type: pam, allow_all: {'false' if value == 'true' else 'true'}}}\n{LISTS}"
    text = change(opened, closed)
    assert ("users who are in no list lose access" in text) == (value == "true")
    assert "everyone with an account" in text


def test_users_who_lose_or_gain_access_are_named():
    after = "auth: {type: native}\nusers: {allowed: [ann, cat], admin: [boss]}\n"
    text = change(LISTS, after, {"ann", "cat", "boss"})
    assert "lose access: bob" in text
    assert "gain access: cat" in text


def test_users_whom_drop_ins_name_and_lists_of_classes_count():
    after = "auth: {type: native, NativeAuthenticator: {allowed_users: [cat]}}\n" + LISTS
    text = change(LISTS, after, {"ann"}, others=["dora"])
    assert "before: 4 users by name" in text
    assert "after: 5 users by name" in text
    assert "gain access: cat" in text


def test_passwords_that_count_again_are_named():
    text = change("auth: {type: native}\n" + LISTS, LISTS, first_use={"ann", "stranger"})
    assert "log in with the password that they had at the last first use: ann (" in text
    assert "stranger" not in text


def running(login: str) -> EffectiveLists:
    return EffectiveLists(get_utc_time(), frozenset({"ann"}), login=login)


def notes_of(monkeypatch, lists: EffectiveLists | None, text: bytes) -> str:
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_: [])
    host = machine()
    install(host)
    if lists is not None:
        host.write(PATHS.hub_lists, lists.as_bytes(), mode=0o600)
    host.write(PATHS.config_file, text, mode=0o600)
    return "\n".join(work_out(host, PATHS, Request("plan")).plan.as_json()["notes"])


def test_a_login_that_a_drop_in_chose_makes_auth_type_void(monkeypatch):
    lists = running("oauthenticator.github.GitHubOAuthenticator")
    notes = notes_of(monkeypatch, lists, b"auth: {type: native}\n")
    assert "a drop-in or plugin chooses how users log in: " in notes
    assert "auth.type has no effect" in notes
    assert "who can log in after" not in notes


def test_the_class_that_the_hub_runs_for_auth_type_is_no_other(monkeypatch):
    ours = "tljh.hub.process.firstuse_authenticator.ClaimedFirstUseAuthenticator"
    notes = notes_of(monkeypatch, running(ours), b"auth: {type: native}\n")
    assert "who can log in after" in notes


def test_jupyterhubs_own_option_is_a_change_of_the_login(monkeypatch):
    text = b"JupyterHub: {authenticator_class: native}\n"
    assert "who can log in after" in notes_of(monkeypatch, None, text)


def test_the_plan_has_the_notes(monkeypatch):
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_: [])
    host = machine()
    install(host)
    host.write(PATHS.config_file, b"auth: {type: native}\n", mode=0o600)
    notes = work_out(host, PATHS, Request("plan")).plan.as_json()["notes"]
    assert any("who can log in after" in note for note in notes)
