"""A copy of the hub's database for the JupyterHub of the chart: older, and without servers."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.well_known import TEMPORARY_GROUP
from tljh.export.scopes import convert_scope
from tljh.host.interface import Host
from tljh.host.sqlite_file import copy_database, read_schema
from tljh.hub.database_resource import dump_server
from tljh.hub.facts import read_applied_database
from tljh.takeover.removals import DOWNGRADE, DOWNGRADE_TIMEOUT_S

# The schema of this release's JupyterHub, and that of JupyterHub 5.5.
CURRENT_SCHEMA = "f460b0348206"
CHART_SCHEMA = "4621fec11365"

# Servers run on this machine, and codes are valid for minutes. None of them is on the cluster.
_WITHOUT_SERVERS = """
UPDATE spawners SET server_id = NULL, state = NULL;
UPDATE services SET _server_id = NULL;
DELETE FROM servers;
DELETE FROM oauth_codes;
"""

# What changes while nobody does anything.
_VOLATILE = {"last_activity", "started"}


@dataclass(frozen=True)
class ConvertedDatabase:
    """The copy as a file, the users in it, and what to compare with a later one.

    `widened_tokens` have a scope that JupyterHub 5.5 does not have, and got a wider one.
    """

    data: bytes
    logins: tuple[str, ...]
    rows: Mapping[str, Any]
    widened_tokens: int = 0


def convert_database(host: Host, paths: Paths, scratch: Path) -> ConvertedDatabase:
    """Copy the hub's database and take the copy to the schema of JupyterHub 5.5.

    Raises TljhError for a database of another schema than this release's.
    """
    copy = scratch / "jupyterhub.sqlite"
    place = read_applied_database(host, paths)
    if place is None:
        raise TljhError(
            "the hub has no database yet",
            fix="start it once, then export: sudo tljh-config reload",
        )
    if place.is_server:
        dump_server(host, paths.hub, place, copy)
    else:
        copy_database(paths.hub_database, copy)
    schema = read_schema(copy)
    if schema != CURRENT_SCHEMA:
        raise TljhError(
            f"the hub's database has the schema {schema or 'of no release'}, "
            f"and only {CURRENT_SCHEMA} can be exported",
            why="each release of JupyterHub has its own; the way back is known for that one",
            fix="bring the hub to this release, which also changes its database: sudo tljh upgrade",
        )
    # By SQL: the downgrade copies tables whose rows refer to servers.
    with closing(sqlite3.connect(copy)) as connection:
        connection.executescript(_WITHOUT_SERVERS)
    files = paths.hub_files
    done = host.run(
        [str(files.python), "-I", "-c", DOWNGRADE, f"sqlite:///{copy}", CHART_SCHEMA],
        timeout_s=DOWNGRADE_TIMEOUT_S,
        env={"PATH": f"{files.bin_dir}:{os.environ.get('PATH', os.defpath)}"},
    )
    if not done.ok or read_schema(copy) != CHART_SCHEMA:
        raise TljhError(
            f"the copy of the hub's database could not be taken to the schema {CHART_SCHEMA}",
            why="\n".join((done.err or done.out).strip().splitlines()[-8:]) or None,
        )
    with closing(sqlite3.connect(copy)) as connection:
        widened_tokens = _convert_scopes(connection)
        connection.execute("VACUUM")
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise TljhError(f"rows of {broken[0][0]} refer to rows that do not exist")
        logins, rows = _read_rows(connection)
    return ConvertedDatabase(copy.read_bytes(), logins, rows, widened_tokens)


def _convert_scopes(connection: sqlite3.Connection) -> int:
    """Replace scopes that JupyterHub 5.5 does not have; return the number of changed tokens."""
    changed = {}
    for table, column in (
        ("roles", "scopes"),
        ("oauth_clients", "allowed_scopes"),
        ("api_tokens", "scopes"),
    ):
        rows = connection.execute(f"SELECT id, {column} FROM {table}").fetchall()
        converted = []
        for number, text in rows:
            scopes = json.loads(text or "[]")
            new_scopes = list(dict.fromkeys(convert_scope(scope) for scope in scopes))
            if new_scopes != scopes:
                converted.append((json.dumps(new_scopes), number))
        connection.executemany(f"UPDATE {table} SET {column} = ? WHERE id = ?", converted)
        changed[table] = len(converted)
    connection.commit()
    return changed["api_tokens"]


def _read_rows(connection: sqlite3.Connection) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the users, and what of the content is compared with a later export."""
    users = dict(connection.execute("SELECT name, admin FROM users"))
    members = connection.execute(
        "SELECT g.name, u.name FROM groups g JOIN user_group_map m ON m.group_id = g.id "
        "JOIN users u ON u.id = m.user_id ORDER BY g.name, u.name"
    )
    groups: dict[str, list[str]] = {
        str(name): [] for (name,) in connection.execute("SELECT name FROM groups")
    }
    for group, user in members:
        groups[group].append(user)
    roles = dict(connection.execute("SELECT name, scopes FROM roles"))
    tokens = connection.execute(
        "SELECT coalesce(t.prefix, ''), t.hashed FROM api_tokens t "
        # Tokens of services are in secrets.yaml, or new at each start of the hub.
        "WHERE t.user_id IS NOT NULL AND t.session_id IS NULL AND t.client_id = 'jupyterhub' "
        "AND coalesce(t.note, '') NOT LIKE 'Server at %'"
    )
    rows = {
        "users": sorted(users),
        "admins": sorted(name for name, admin in users.items() if admin),
        "groups": groups,
        "roles": roles,
        "tokens": sorted(hashlib.sha256(str(row).encode()).hexdigest()[:16] for row in tokens),
        "database": _digest(connection),
    }
    # Temporary users are removed after their session, with their files.
    temporary = set(groups.get(TEMPORARY_GROUP, ()))
    return tuple(sorted(set(users) - temporary)), rows


def _digest(connection: sqlite3.Connection) -> str:
    """Return a digest of all tables, without times of the last activity."""
    digest = hashlib.sha256()
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    for (table,) in tables.fetchall():
        columns = [str(row[1]) for row in connection.execute(f'PRAGMA table_info("{table}")')]
        kept = ", ".join(f'"{name}"' for name in columns if name not in _VOLATILE)
        rows = connection.execute(f'SELECT {kept} FROM "{table}"').fetchall()
        digest.update(repr((table, sorted(map(repr, rows)))).encode())
    return digest.hexdigest()
