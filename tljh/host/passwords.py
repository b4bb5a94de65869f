"""The password file of the first-use authenticator: bcrypt hashes by login name, in a dbm."""

from __future__ import annotations

import dbm
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from tljh.errors import TljhError


def _exists(path: Path) -> bool:
    return dbm.whichdb(str(path)) is not None


def has_password(path: Path, login: str) -> bool:
    return stored_hash(path, login) is not None


def stored_hash(path: Path, login: str) -> bytes | None:
    """The hash of one login; None where there is none, or no file yet."""
    if not _exists(path):
        return None
    with dbm.open(str(path), "r") as stored:
        found: bytes | None = stored.get(login.encode())
        return found


def logins(path: Path) -> list[str]:
    if not _exists(path):
        return []
    with dbm.open(str(path), "r") as stored:
        keys = stored.keys()
        return sorted(key.decode() if isinstance(key, bytes) else key for key in keys)


def native_logins(database: Path) -> list[str]:
    """Names with a password in NativeAuthenticator's table of the hub's database."""
    if not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as opened:
            rows = opened.execute("SELECT username FROM users_info ORDER BY username")
            return [str(name) for (name,) in rows]
    except sqlite3.Error:
        # The table is made when the authenticator is first used.
        return []


def store_hash(path: Path, login: str, hashed: bytes | None) -> None:
    """Set, or with None remove, the hash of one login."""
    store_hashes(path, {login: hashed})


def store_hashes(path: Path, hashes: Mapping[str, bytes | None]) -> None:
    """The same for many at once."""
    try:
        with dbm.open(str(path), "c", 0o600) as stored:
            for login, hashed in hashes.items():
                if hashed is not None:
                    stored[login.encode()] = hashed
                elif login.encode() in stored:
                    del stored[login.encode()]
    except dbm.error as error:
        raise TljhError(f"{path} cannot be written", why=str(error)) from error


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
