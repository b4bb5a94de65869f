"""Rows of a hub from one kind of database to another, on real servers."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.databases.servers import Server, create_database
from tljh.host.real import RealHost
from tljh.hub.database_client import DatabaseAway, ask_database
from tljh.settings.database_address import DatabaseAddress, build_sqlite_address

ENVIRONMENT = Path(sys.prefix)

FILL = """
import sys
from jupyterhub import orm
from nativeauthenticator.orm import UserInfo
db = orm.new_session_factory(sys.argv[1])()
db.add_all([orm.OAuthClient(identifier="jupyterhub", secret=""), orm.Role(name="token",
    scopes=["inherit"]), orm.Role(name="user", scopes=["self"])])
db.commit()
group = orm.Group(name="Kurs")
for name in ("staff", "Staff", "jos\\u00e9", "jose", "\\U0001f600"):
    user = orm.User(name=name, admin=name == "staff", encrypted_auth_state=b"\\0\\xff")
    db.add(user)
    group.users.append(user)
    db.add(UserInfo(username=name, password=b"$2b\\0hash", is_authorized=True))
    db.add(orm.Spawner(name="second", user=user, state={"long": "x" * 100_000}))
    db.flush()
    user.new_api_token(token="t" + name.encode().hex().ljust(31, "0"))
db.add(group)
db.commit()
"""

READ = """
import sys
from jupyterhub import orm
db = orm.new_session_factory(sys.argv[1])()
for user in db.query(orm.User):
    token = orm.APIToken.find(db, "t" + user.name.encode().hex().ljust(31, "0"))
    assert token.user is user
    assert user.spawners[0].state if hasattr(user, "spawners") else True
print(sorted(user.name for user in db.query(orm.User)))
db.add(orm.User(name=sys.argv[2]))
db.commit()
"""


def run(code: str, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> DatabaseAddress:
    address = build_sqlite_address(tmp_path_factory.mktemp("filled") / "hub.sqlite")
    run(FILL, address.url)
    return address


def ask(action: str, target: DatabaseAddress, source: DatabaseAddress | None = None) -> dict:
    return ask_database(RealHost(), ENVIRONMENT, action, target, source=source, timeout_s=120)


def test_every_row_and_token_survives_a_way_through_all_kinds(
    filled, postgresql, mariadb, tmp_path
):
    back = build_sqlite_address(tmp_path / "back.sqlite")
    way = [filled, postgresql.address, mariadb.address, back]
    counts = [ask("copy", target, source)["rows"] for source, target in pairwise(way)]
    assert len(set(counts)) == 1
    assert counts[0] > 20
    # JupyterHub itself starts on each of them, finds each token, and adds a user.
    for number, address in enumerate(way[1:]):
        names = run(READ, address.url, f"new{number}")
        assert "'Staff'" in names
        assert "'staff'" in names
        assert "josé" in names
        assert ask("probe", address)["users"] == 6


def test_a_hub_refuses_a_target_whose_copy_did_not_end(filled, server: Server):
    create_database(server, "cut")
    address = server.at("cut")
    ask("copy", address, filled)
    # As a copy leaves it when it is killed before its last step.
    server.ask("UPDATE alembic_version SET version_num = 'tljh-incomplete-copy'", "cut")
    refused = subprocess.run(
        [sys.executable, "-c", READ, address.url, "new"], capture_output=True, text=True
    )
    assert refused.returncode != 0
    assert "DatabaseSchemaMismatch" in refused.stderr
    assert ask("probe", address)["is_empty"]
    assert ask("copy", address, filled)["rows"] > 20
    run(READ, address.url, "new")


def test_what_a_kind_cannot_hold_is_named_with_its_row(postgresql, mariadb, tmp_path):
    source = build_sqlite_address(tmp_path / "odd.sqlite")
    code = FILL.replace("db.add(group)", "db.add(orm.User(name='n' * 300)); db.add(group)")
    run(code.replace("$2b\\0hash", "x").replace('"x" * 100_000', '"a\\0b"'), source.url)
    for server in (postgresql, mariadb):
        obstacles = ask("check-source", server.address, source)["obstacles"]
        assert any("users" in text and "300 characters, of 255" in text for text in obstacles)
    assert ask("check-source", source, source)["obstacles"] == []


def test_a_server_that_is_away_is_named_with_its_own_words(server: Server):
    away = DatabaseAddress(
        server.address.kind, server.address.url.replace(str(server.directory), "/tmp/nowhere")
    )
    with pytest.raises(DatabaseAway) as failed:
        ask("probe", away)
    assert "No such file" in str(failed.value.findings[0].why)


def test_a_collation_that_merges_names_is_reported(mariadb):
    mariadb.ask("CREATE DATABASE merging CHARACTER SET utf8mb4", database="")
    assert ask("probe", mariadb.at("merging"))["charset"] == "utf8mb4_general_ci"
    assert ask("probe", mariadb.address)["charset"] is None
