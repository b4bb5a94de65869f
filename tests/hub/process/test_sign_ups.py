"""Sign-ups that count as an admin's password, and the notes about them for admins."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tljh.base.paths import Paths
from tljh.operations.user_notes import warn_of_sign_ups, warn_on_removing
from tljh.settings.load import load
from tljh.users.declared_access import DeclaredAccess
from tljh.users.facts import find_logins_with_password

NATIVE = load(b"auth: {type: Native}\nusers: {admin: [boss]}")


@pytest.fixture
def paths(tmp_path):
    paths = Paths(tmp_path)
    paths.state_dir.mkdir()
    with closing(sqlite3.connect(paths.state_dir / "jupyterhub.sqlite")) as database:
        database.execute("CREATE TABLE users_info (username TEXT, is_authorized BOOLEAN)")
        rows = [("boss", 1), ("lena", 0), ("carla", 0), ("old", None)]
        database.executemany("INSERT INTO users_info VALUES (?, ?)", rows)
        database.commit()
    paths.ledger.write_bytes(DeclaredAccess(allowed=frozenset({"lena"})).as_bytes())
    return paths


def test_a_sign_up_counts_once_it_was_authorized_or_listed(paths):
    assert find_logins_with_password(NATIVE, paths) == {"boss", "lena"}


def test_adding_a_user_with_a_waiting_sign_up_prints_what_counts(paths):
    (note,) = warn_of_sign_ups(NATIVE, paths, ["Carla", "lena", "new"], is_admin=True)
    assert "carla signed up before an admin authorized the name" in note
    assert "only the claim link" in note
    (note,) = warn_of_sign_ups(NATIVE, paths, ["carla"], is_admin=False)
    assert "tljh user reset-password carla" in note


def test_removing_a_user_who_could_come_back_prints_a_note():
    def notes(text: str) -> str:
        return " ".join(warn_on_removing(load((text + "\nusers: {admin: [boss]}").encode())))

    for text in (
        "auth: {allow_all: true}",
        "auth: {type: native, NativeAuthenticator: {open_signup: true}}",
        "auth: {type: native}\nNativeAuthenticator: {open_signup: true}",
    ):
        assert "tljh user disable" in notes(text)
    assert notes("auth: {type: native}") == notes("auth: {type: firstuse}") == ""
