"""First passwords: many at once, none over one that is there, and all of them taken back."""

from __future__ import annotations

from tljh.base.progress import SilentProgress
from tljh.host.fake import FakeHost
from tljh.host.password_store import read_hash, read_logins, store_hash
from tljh.users.first_passwords import FirstPasswords


def test_a_class_gets_its_passwords_and_who_has_one_keeps_it(tmp_path):
    path, host = tmp_path / "passwords.dbm", FakeHost()
    store_hash(path, "ann", b"old")
    resource = FirstPasswords(path, {"ann": b"new", "bob": b"1", "cho": b"2"})
    found = resource.difference(host)
    assert found is not None
    assert found.summary == "2 first"
    record = resource.before(host)
    resource.apply(host, SilentProgress())
    assert read_logins(path) == ["ann", "bob", "cho"]
    assert read_hash(path, "ann") == b"old"
    assert resource.difference(host) is None
    FirstPasswords.revert(host, record)
    assert read_logins(path) == ["ann"]


def test_a_plan_names_few_and_counts_many(tmp_path):
    assert FirstPasswords(tmp_path, {"ann": b"", "bob": b""}).name == "ann, bob"
    assert FirstPasswords(tmp_path, dict.fromkeys("abcdefg", b"")).name == "of 7 people"


def test_an_undo_of_an_install_finds_no_directory_any_more(tmp_path):
    gone = tmp_path / "state" / "passwords.dbm"
    FirstPasswords.revert(FakeHost(), {"path": str(gone), "new": ["ann"]})
