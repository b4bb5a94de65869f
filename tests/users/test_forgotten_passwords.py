"""Passwords of removed users are deleted, and come back with a rollback."""

from __future__ import annotations

import json
from pathlib import Path

from tljh.base.progress import SilentProgress
from tljh.host.fake import FakeHost
from tljh.host.password_store import read_hash, read_logins, store_hash
from tljh.users.forgotten_passwords import ForgottenPasswords


def test_only_the_passwords_of_removed_users_are_deleted_and_a_rollback_restores_them(
    tmp_path: Path,
) -> None:
    path, host = tmp_path / "passwords.dbm", FakeHost()
    for login in ("ann", "bob"):
        store_hash(path, login, b"hash of " + login.encode())
    resource = ForgottenPasswords(path, ("ann", "cho"))
    assert resource.difference(host) is not None
    record = json.loads(json.dumps(resource.before(host)))
    resource.apply(host, SilentProgress())
    assert read_logins(path) == ["bob"]
    assert resource.difference(host) is None
    ForgottenPasswords.revert(host, record)
    assert read_hash(path, "ann") == b"hash of ann"
    assert read_logins(path) == ["ann", "bob"]


def test_without_a_password_nothing_is_planned(tmp_path: Path) -> None:
    assert ForgottenPasswords(tmp_path / "passwords.dbm", ("ann",)).difference(FakeHost()) is None
