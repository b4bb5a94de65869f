"""Password file of the first-use authenticator: a dbm of bcrypt hashes by login name.

FirstUseAuthenticator itself, and TLJH's, read the same file. The files that belong to the dbm
depend on the library that the machine's Python was built with: `NAME`, `NAME.db`, or several.
"""

from __future__ import annotations

import dbm
import errno
import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.fsync import flush
from tljh.host.server_records import ServerPlace

T = TypeVar("T")

# Reads and writes take milliseconds, also those of FirstUseAuthenticator when a hub starts.
BUSY_TIMEOUT_S = 10.0


def read_hash(path: Path, login: str) -> bytes | None:
    """Return the hash of one login name; None if it has none, or if there is no file yet."""
    if not os.access(path.parent, os.R_OK):
        return None
    with _lock_store(path, fcntl.LOCK_SH):
        return _read(path, lambda database: database.get(login.encode()))


def read_logins(path: Path) -> list[str]:
    """Return the login names that have a password, sorted."""
    if not os.access(path.parent, os.R_OK):
        return []
    with _lock_store(path, fcntl.LOCK_SH):
        return sorted(key.decode() for key in _read_entries(path))


def read_hashes(path: Path) -> dict[str, bytes]:
    """Return the hashes of all passwords by login name; empty if there is no file yet."""
    if not os.access(path.parent, os.R_OK):
        return {}
    with _lock_store(path, fcntl.LOCK_SH):
        return {key.decode(): hashed for key, hashed in sorted(_read_entries(path).items())}


@contextmanager
def _lock_store(path: Path, operation: int) -> Iterator[None]:
    """Hold a shared or exclusive lock (`operation`, of flock) on the password file.

    The directory carries the lock, because a write replaces the file.
    """
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        _retry_while_busy(path, lambda: fcntl.flock(descriptor, operation | fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _retry_while_busy(path: Path, action: Callable[[], T]) -> T:
    """Call `action` until it can open the file, which another process may be writing.

    Raises TljhError after BUSY_TIMEOUT_S seconds, and at once for any other failure.
    """
    deadline_s = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            return action()
        except OSError as error:
            # gdbm's own lock answers EAGAIN while another process has the file open to write.
            if error.errno != errno.EAGAIN or time.monotonic() > deadline_s:
                raise TljhError(f"{path} cannot be opened", why=str(error)) from error
        except (dbm.error[0], ImportError) as error:
            raise TljhError(f"{path} cannot be opened", why=str(error)) from error
        time.sleep(0.01)


def _read(path: Path, query: Callable[[Any], T]) -> T | None:
    """Open the password file (a dbm) and return the result of `query` on it; None if missing."""
    if dbm.whichdb(str(path)) is None:
        return None
    with _retry_while_busy(path, lambda: dbm.open(str(path), "r")) as database:
        return query(database)


def _read_entries(path: Path) -> dict[bytes, bytes]:
    def read_all(database: Any) -> dict[bytes, bytes]:
        # A gdbm object cannot be iterated over directly.
        keys = database.keys()
        return {key: database[key] for key in keys}

    return _read(path, read_all) or {}


def read_native_sign_ups(paths: Paths) -> dict[str, bool]:
    """Return the login names of NativeAuthenticator's sign-ups, and whether each is authorized."""
    if (server := ServerPlace.read(paths)) is not None:
        return server.read_sign_ups()
    database = paths.hub_database
    if not database.is_file():
        return {}
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as opened:
            rows = opened.execute("SELECT username, is_authorized FROM users_info")
            return {str(name): bool(is_authorized) for name, is_authorized in rows}
    except sqlite3.Error:
        # NativeAuthenticator creates the table when it is first used.
        return {}


def read_hub_admins(paths: Paths) -> frozenset[str]:
    """Return the login names that are admins in the hub's database."""
    if (server := ServerPlace.read(paths)) is not None:
        return server.read_admins()
    database = paths.hub_database
    if not database.is_file():
        return frozenset()
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as opened:
            rows = opened.execute("SELECT name FROM users WHERE admin")
            return frozenset(str(name) for (name,) in rows)
    except sqlite3.Error:
        return frozenset()


def store_hash(path: Path, login: str, hashed: bytes | None) -> None:
    """Set the hash of one login name; None removes it."""
    store_hashes(path, {login: hashed})


def store_first_hash(path: Path, login: str, hashed: bytes) -> bool:
    """Set the hash of a login name that has none; return false if it has one."""
    with _lock_store(path, fcntl.LOCK_EX):
        entries = _read_entries(path)
        if login.encode() in entries:
            return False
        _replace(path, {**entries, login.encode(): hashed})
    return True


def store_hashes(path: Path, hashes: Mapping[str, bytes | None]) -> None:
    """Set or remove many hashes in one write. Raises TljhError; then no hash was changed."""
    with _lock_store(path, fcntl.LOCK_EX):
        current = _read_entries(path)
        changes = {login.encode(): hashed for login, hashed in hashes.items()}
        merged = {**current, **changes}
        new = {login: hashed for login, hashed in merged.items() if hashed is not None}
        if new != current:
            _replace(path, new)


def _replace(path: Path, entries: Mapping[bytes, bytes]) -> None:
    """Write all entries to a new file, read it back, and replace the old file with it."""
    # On a full disk, ndbm reports no error and loses entries of other users when it edits in
    # place. So the old file is replaced only after the new one was read back completely.
    # It is written in a separate directory, because only the library knows its files' names.
    workshop = path.with_name(f"{path.name}.new")
    shutil.rmtree(workshop, ignore_errors=True)
    new = workshop / path.name
    kind = dbm.whichdb(str(path))
    try:
        workshop.mkdir(mode=0o700)
        # An existing file keeps its kind (gdbm, ndbm, ...), whatever this Python's default is.
        open_dbm = import_module(kind).open if kind else dbm.open
        with open_dbm(str(new), "n", 0o600) as database:
            for login, hashed in entries.items():
                database[login] = hashed
        if _read_entries(new) != entries:
            raise OSError(errno.EIO, "the new file does not have all entries: is the disk full?")
        files = sorted(workshop.iterdir())
        # Content before names: after a power failure, a name must not lead to an empty file.
        for file in files:
            flush(file)
        for file in files:
            file.replace(path.parent / file.name)
        flush(path.parent)
    except (*dbm.error, TljhError) as error:
        raise TljhError(f"{path} cannot be written", why=str(error)) from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def hash_password(password: str) -> bytes:
    """Return a bcrypt hash. It takes about 0.2 s by design: the price of each guess."""
    import bcrypt

    hashed: bytes = bcrypt.hashpw(_cut_to_significant(password), bcrypt.gensalt())
    return hashed


def is_password(password: str, hashed: bytes) -> bool:
    """Return whether a hash is that of a password; takes as long as `hash_password`."""
    import bcrypt

    return bool(bcrypt.checkpw(_cut_to_significant(password), hashed))


def _cut_to_significant(password: str) -> bytes:
    # bcrypt uses the first 72 bytes only. Since version 5 it refuses longer passwords, but older
    # installations have hashes of such. So cut them here, as older versions did.
    return password.encode()[:72]
