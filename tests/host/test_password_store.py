"""The password file: no password is lost when another one is written."""

from __future__ import annotations

import dbm
import errno
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest

import tljh
from tljh.base.errors import TljhError
from tljh.host.password_store import (
    read_hash,
    read_logins,
    store_first_hash,
    store_hash,
    store_hashes,
)

HASH = b"$2b$12$" + b"x" * 53
CLASS = {f"pupil{number}": HASH for number in range(60)}
# Debian's Python has Berkeley DB behind dbm, which reports no error of a full disk.
SYSTEM = "/usr/bin/python3"
FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from tljh.base.errors import TljhError
from tljh.host.password_store import read_logins, store_hash, store_hashes, read_hash
path, new_hash = Path(sys.argv[1]), b"$2b$12$" + b"x" * 53
store_hashes(path, {f"pupil{number}": new_hash for number in range(60)})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
room = max(file.stat().st_size for file in path.parent.iterdir()) // 2
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
refused = 0
for number in range(40):
    try:
        store_hash(path, f"new{number}", new_hash)
    except TljhError:
        refused += 1
assert all(read_hash(path, f"pupil{n}") == new_hash for n in range(60)), read_logins(path)
assert refused == 40, refused
assert [file.name for file in path.parent.iterdir() if file.is_dir()] == []
"""


def can_run(python: str) -> bool:
    code = "import dbm.ndbm, tljh.host.password_store"
    return Path(python).exists() and not subprocess.run([python, "-c", code], env=ENV).returncode


ENV = {"PYTHONPATH": str(Path(tljh.__file__).parents[1])}


@pytest.mark.parametrize("python", [sys.executable, SYSTEM])
def test_a_full_disk_loses_no_password(tmp_path, python):
    if python == SYSTEM and not can_run(python):
        pytest.skip("the system's Python has no ndbm")
    command = [python, "-c", FULL_DISK, str(tmp_path / "passwords.dbm")]
    result = subprocess.run(command, env=ENV, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def _write_some(path: Path, name: str) -> None:
    for number in range(25):
        store_hash(path, f"{name}{number}", HASH)
        assert read_hash(path, "pupil0") == HASH


def test_processes_that_write_at_the_same_time_lose_nothing(tmp_path):
    path = tmp_path / "passwords.dbm"
    store_hashes(path, CLASS)
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_write_some, args=(path, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(read_logins(path)) == 60 + 75


def test_the_library_reads_our_entries_and_we_read_its_entries(tmp_path):
    path = tmp_path / "passwords.dbm"
    with dbm.open(str(path), "c", 0o600) as theirs:
        theirs["old"] = HASH
    store_hash(path, "new", HASH)
    with dbm.open(str(path), "r") as theirs:
        assert sorted(theirs.keys()) == [b"new", b"old"]
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_a_first_password_is_set_once(tmp_path):
    path = tmp_path / "passwords.dbm"
    assert store_first_hash(path, "ann", HASH)
    assert not store_first_hash(path, "ann", b"another")
    assert read_hash(path, "ann") == HASH
    store_hash(path, "ann", None)
    assert read_logins(path) == []


def busy(times: int, error: int = errno.EAGAIN):
    """Return a dbm.open that fails some times, as gdbm's does while another process writes."""
    real_open, failures = dbm.open, [OSError(error, "Resource temporarily unavailable")] * times

    def fake_open(*arguments):
        if failures:
            raise failures.pop()
        return real_open(*arguments)

    return fake_open


def test_a_file_that_another_process_writes_is_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "passwords.dbm"
    store_hash(path, "ann", HASH)
    monkeypatch.setattr(dbm, "open", busy(3))
    assert read_hash(path, "ann") == HASH


def test_a_file_that_cannot_be_read_is_reported_and_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "passwords.dbm"
    store_hash(path, "ann", HASH)
    with monkeypatch.context() as patched:
        patched.setattr(dbm, "open", busy(1, errno.EIO))
        with pytest.raises(TljhError, match="cannot be opened"):
            store_hash(path, "bob", HASH)
    assert read_logins(path) == ["ann"]
