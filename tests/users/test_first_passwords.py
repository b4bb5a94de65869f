"""First passwords: many at once, none over an existing one, and all of them rolled back."""

from __future__ import annotations

from tljh.base.progress import SilentProgress
from tljh.host.fake import FakeHost
from tljh.host.password_store import read_hash, read_logins, store_hash
from tljh.users.first_passwords import FirstPasswords


def test_new_users_get_a_password_and_an_existing_one_stays(tmp_path):
    path, host = tmp_path / "passwords.dbm", FakeHost()
    store_hash(path, "ann", b"old")
    resource = FirstPasswords(path, {"ann": b"new", "bob": b"1", "cho": b"2"})
    difference = resource.difference(host)
    assert difference is not None
    assert difference.summary == "2 first passwords"
    record = resource.before(host)
    resource.apply(host, SilentProgress())
    assert read_logins(path) == ["ann", "bob", "cho"]
    assert read_hash(path, "ann") == b"old"
    assert resource.difference(host) is None
    FirstPasswords.revert(host, record)
    assert read_logins(path) == ["ann"]


def test_a_plan_names_few_and_counts_many(tmp_path):
    assert FirstPasswords(tmp_path, {"ann": b"", "bob": b""}).name == "ann, bob"
    assert FirstPasswords(tmp_path, dict.fromkeys("abcdefg", b"")).name == "of 7 users"


def test_a_rollback_of_a_first_install_finds_no_directory(tmp_path):
    gone = tmp_path / "state" / "passwords.dbm"
    FirstPasswords.revert(FakeHost(), {"path": str(gone), "new": ["ann"]})
