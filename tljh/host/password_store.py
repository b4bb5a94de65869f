"""The password file of the first-use authenticator: bcrypt hashes by login name, in a dbm.

FirstUseAuthenticator itself, and TLJH's, read the same file. What `dbm` makes of its name differs
with what the machine's Python was built with: one file (`NAME`, `NAME.db`) or several.
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
from tljh.host.fsync import flush

T = TypeVar("T")

# A write takes some milliseconds; the library's own look at the file, when a hub starts, too.
PATIENCE_S = 10.0


def stored_hash(path: Path, login: str) -> bytes | None:
    """The hash of one login; None where there is none, or no file yet."""
    if not os.access(path.parent, os.R_OK):
        return None
    with _locked(path, fcntl.LOCK_SH):
        return _read(path, lambda stored: stored.get(login.encode()))


def logins(path: Path) -> list[str]:
    if not os.access(path.parent, os.R_OK):
        return []
    with _locked(path, fcntl.LOCK_SH):
        return sorted(key.decode() for key in _entries(path))


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    """Alone with the file, or with other readers; the directory holds the lock."""
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        _patiently(path, lambda: fcntl.flock(descriptor, how | fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def _patiently(path: Path, what: Callable[[], T]) -> T:
    """Try until nobody else is at work on the file."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return what()
        except OSError as error:
            # gdbm refuses whoever comes while another has the file open to write.
            if error.errno != errno.EAGAIN or time.monotonic() > end_s:
                raise TljhError(f"{path} cannot be opened", why=str(error)) from error
        except (dbm.error[0], ImportError) as error:
            raise TljhError(f"{path} cannot be opened", why=str(error)) from error
        time.sleep(0.01)


def _read(path: Path, look: Callable[[Any], T]) -> T | None:
    """What `look` finds in the open file; None where there is none yet."""
    if dbm.whichdb(str(path)) is None:
        return None
    with _patiently(path, lambda: dbm.open(str(path), "r")) as stored:
        return look(stored)


def _entries(path: Path) -> dict[bytes, bytes]:
    def all_of(stored: Any) -> dict[bytes, bytes]:
        # gdbm's cannot be iterated over.
        keys = stored.keys()
        return {key: stored[key] for key in keys}

    return _read(path, all_of) or {}


def native_sign_ups(database: Path) -> dict[str, bool]:
    """Who signed up with NativeAuthenticator, and whether that was authorized."""
    if not database.is_file():
        return {}
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as opened:
            rows = opened.execute("SELECT username, is_authorized FROM users_info")
            return {str(name): bool(is_authorized) for name, is_authorized in rows}
    except sqlite3.Error:
        # The table is made when the authenticator is first used.
        return {}


def store_hash(path: Path, login: str, hashed: bytes | None) -> None:
    """Set, or with None remove, the hash of one login."""
    store_hashes(path, {login: hashed})


def store_first_hash(path: Path, login: str, hashed: bytes) -> bool:
    """Set the hash of a login that has none; false if it has one."""
    with _locked(path, fcntl.LOCK_EX):
        entries = _entries(path)
        if login.encode() in entries:
            return False
        _replace(path, {**entries, login.encode(): hashed})
    return True


def store_hashes(path: Path, hashes: Mapping[str, bytes | None]) -> None:
    """The same for many at once. Raises TljhError; then everybody's are as they were."""
    with _locked(path, fcntl.LOCK_EX):
        before = _entries(path)
        changed = {login.encode(): hashed for login, hashed in hashes.items()}
        after = {login: made for login, made in {**before, **changed}.items() if made is not None}
        if after != before:
            _replace(path, after)


def _replace(path: Path, entries: Mapping[bytes, bytes]) -> None:
    """Put a new file in the place of the old one once it is known to be whole.

    No dbm can be trusted to say that a disk is full: edited in place, ndbm reports nothing and
    has lost others' entries.
    """
    # In a directory of its own, because only the library knows how it calls its files.
    workshop = path.with_name(f"{path.name}.new")
    shutil.rmtree(workshop, ignore_errors=True)
    new = workshop / path.name
    kind = dbm.whichdb(str(path))
    try:
        workshop.mkdir(mode=0o700)
        opened = import_module(kind).open if kind else dbm.open
        with opened(str(new), "n", 0o600) as stored:
            for login, hashed in entries.items():
                stored[login] = hashed
        if _entries(new) != entries:
            raise OSError(errno.EIO, "what was written is not what is read: is the disk full?")
        made = sorted(workshop.iterdir())
        for file in made:
            flush(file)
        for file in made:
            file.replace(path.parent / file.name)
        flush(path.parent)
    except (*dbm.error, TljhError) as error:
        raise TljhError(f"{path} cannot be written", why=str(error)) from error
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def hash_password(password: str) -> bytes:
    """Takes about 0.2 s on purpose: what a guesser pays for each try."""
    import bcrypt

    hashed: bytes = bcrypt.hashpw(_looked_at(password), bcrypt.gensalt())
    return hashed


def is_password(password: str, hashed: bytes) -> bool:
    """Whether a hash is of this password; takes as long as making one."""
    import bcrypt

    return bool(bcrypt.checkpw(_looked_at(password), hashed))


def _looked_at(password: str) -> bytes:
    # bcrypt never looks at more than 72 bytes; since version 5 it refuses longer ones, which
    # earlier versions, and so the hashes of an older installation, took.
    return password.encode()[:72]
