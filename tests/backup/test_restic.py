"""restic's errors in the words of an admin, and where secrets are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.backup.restic import BackupSnapshot, Repository, describe_failure, find_snapshot
from tljh.base.errors import TljhError
from tljh.host.interface import Result
from tljh.operations.restore import parse_key_file

PLACE = Repository("rest:https://hub:geheim@nas:8000/hub", Path("/k"), Path("/c"), {"A": "b"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Fatal: wrong password or no key found", "another password"),
        (
            "Fatal: Fatal: config cannot be loaded: unsupported repository version",
            "put a newer restic",
        ),
        (
            "Is there a repository at the following location?\n/x",
            "connect the disk",
        ),
        ("Save(<data/1>) returned error: write: no space left on device", "is full"),
        ("unable to create lock in backend: repository is already locked by PID 1", "removes old"),
        ("ciphertext verification failed", "damaged"),
        ("error for tree 2a37:\n  id 20ac not found in repository", "older backup"),
        ("Fatal: repository contains errors", "damaged"),
        ("something new", "something new"),
    ],
)
def test_a_failure_has_its_cause_and_a_fix(text, words):
    error = str(describe_failure(PLACE, "backup", Result(1, err=text)))
    assert words in error
    assert "geheim" not in error


def test_secrets_are_in_the_environment_only():
    assert PLACE.name == "rest:https://hub@nas:8000/hub"
    assert PLACE.environment()["A"] == "b"


def test_the_newest_backup_is_taken_unless_another_is_named():
    snapshots = [BackupSnapshot(id, "2026-01-01T00:00:00Z", "h", ()) for id in ("aa11", "bb22")]
    assert find_snapshot(snapshots, None, PLACE).id == "bb22"
    assert find_snapshot(snapshots, "aa", PLACE).id == "aa11"
    with pytest.raises(TljhError, match="aa11"):
        find_snapshot(snapshots, "cc", PLACE)


def test_a_key_file_has_a_password_alone_or_all_that_opens_the_backups():
    assert parse_key_file("abc\n") == (None, "abc", {})
    text = "# note\nrepository = s3:https://s/b\npassword = a=b\nAWS_KEY = x\n"
    assert parse_key_file(text) == ("s3:https://s/b", "a=b", {"AWS_KEY": "x"})
    with pytest.raises(TljhError, match="no password"):
        parse_key_file("repository = /mnt/x\n")
