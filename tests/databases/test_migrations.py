"""Migration of a hub's database on a real server, by the hub that starts, and its rollback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.databases.servers import Server, create_database
from tests.databases.test_copies import FILL, ask, run
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.host.real import RealHost
from tljh.host.sqlite_file import read_schema
from tljh.hub import database_resource
from tljh.hub.database_resource import HubDatabase, carry_out_order, read_schemas, restore_copy
from tljh.settings.database_address import DatabaseAddress, build_sqlite_address

ENVIRONMENT = Path(sys.prefix)
# The schema of JupyterHub 5.0 to 5.2, whose tables a copy by this release fits.
OLD = "4621fec11365"


def downgrade(address: DatabaseAddress) -> None:
    code = (
        "import sys; from jupyterhub.dbutil import _temp_alembic_ini as ini\n"
        "from subprocess import check_call\n"
        "with ini(sys.argv[1]) as f: check_call(['alembic', '-c', f, 'downgrade', sys.argv[2]])"
    )
    environ = {**os.environ, "PATH": f"{ENVIRONMENT}/bin:{os.environ['PATH']}"}
    command = [sys.executable, "-c", code, address.url, OLD]
    subprocess.run(command, env=environ, check=True, capture_output=True)


def revision(address: DatabaseAddress) -> str:
    return str(ask("revision", address)["revision"])


@pytest.fixture
def database(server: Server, tmp_path: Path, request) -> HubDatabase:
    name = f"migrated{abs(hash(request.node.name)) % 10_000}"
    create_database(server, name)
    file = build_sqlite_address(tmp_path / "filled.sqlite")
    run(FILL, file.url)
    ask("copy", server.at(name), file)
    paths = Paths(tmp_path)
    paths.state_dir.mkdir()
    return HubDatabase(paths, ENVIRONMENT, server=server.at(name))


def test_a_current_schema_needs_nothing_and_is_copied_if_asked(database):
    host = RealHost()
    assert database.difference(host) is None
    copied = HubDatabase(database.paths, ENVIRONMENT, is_copied=True, server=database.server)
    record = copied.before(host)
    copied.apply(host, SilentProgress())
    carry_out_order(host, database.paths.migration_order, ENVIRONMENT)
    assert read_schema(Path(record["copy"])) == revision(database.server)
    # What came since is lost in a rollback, as with SQLite.
    run(
        "import sys; from jupyterhub import orm\n"
        "db = orm.new_session_factory(sys.argv[1])(); db.add(orm.User(name='since')); db.commit()",
        database.server.url,
    )
    assert ask("probe", database.server)["users"] == 6
    restore_copy(host, record)
    assert ask("probe", database.server)["users"] == 5
    restore_copy(host, record)


def test_an_older_schema_is_migrated_by_the_hub_that_starts(database, monkeypatch):
    host = RealHost()
    schemas = read_schemas(host, ENVIRONMENT)
    assert schemas is not None
    # The environment of an older release would make the copy; here this one stands for it.
    monkeypatch.setattr(database_resource, "dump_server", lambda *_: None)
    downgrade(database.server)
    difference = database.difference(host)
    assert difference is not None
    assert f"{OLD} -> {schemas.newest}" in difference.summary
    database.apply(host, SilentProgress())
    carry_out_order(host, database.paths.migration_order, ENVIRONMENT)
    assert revision(database.server) == schemas.newest
    assert ask("probe", database.server)["users"] == 5
    assert not database.paths.migration_order.exists()


def test_a_migration_that_fails_restores_the_copy(database, monkeypatch):
    host = RealHost()
    database = HubDatabase(database.paths, ENVIRONMENT, is_copied=True, server=database.server)
    database.apply(host, SilentProgress())
    real = database_resource.ask_database

    def fail_to_migrate(host, environment, action, *arguments, **options):
        if action == "revision":
            database.server and ask("clear", database.server)
            raise TljhError("the migration failed half-way")
        return real(host, environment, action, *arguments, **options)

    monkeypatch.setattr(database_resource, "ask_database", fail_to_migrate)
    with pytest.raises(TljhError, match="half-way"):
        carry_out_order(host, database.paths.migration_order, ENVIRONMENT)
    assert ask("probe", database.server)["users"] == 5
