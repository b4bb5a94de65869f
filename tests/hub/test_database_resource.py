"""Migration of a real database of an earlier JupyterHub, and its rollback."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.engine.apply import ChangeContext, apply, recover
from tljh.engine.journal import Journal
from tljh.engine.plan import Plan, plan
from tljh.host.interface import Result, UnitInfo
from tljh.host.real import RealHost
from tljh.host.sqlite_file import copy_database, read_schema
from tljh.hub import database_resource as database
from tljh.hub.database_resource import HubDatabase, carry_out_order, read_schemas
from tljh.systemd.unit_resource import Unit

ENVIRONMENT = Path(sys.prefix)
# The schema of JupyterHub 5.0 to 5.2.
OLD = "4621fec11365"


FILE = Paths().hub_database.name
COPIES = Paths().database_copies.name
ORDER = Paths().migration_order.stem


class Killed(BaseException):
    """Simulates SIGKILL."""


@dataclass
class HostWithAHub(RealHost):
    """This machine, except that its only unit is a hub that only carries out its order."""

    state_dir: Path
    state: str = "active"
    verbs: list[str] = field(default_factory=list)
    last_words: str = ""
    dies_at: str | None = None
    is_of_another_program: bool = False

    @property
    def paths(self) -> Paths:
        return Paths(self.state_dir.parent)

    def unit(self, name: str) -> UnitInfo:
        return UnitInfo(name, load="loaded", active=self.state, enabled="enabled")

    def journal(self, unit: str, lines: int = 20) -> str:
        return self.last_words

    def systemctl(self, verb: str, *units: str, timeout_s: float = 90) -> Result:
        if self.dies_at == verb:
            raise Killed
        if verb not in ("start", "stop", "restart"):
            return Result(0)
        self.verbs.append(verb)
        self.state = "inactive"
        if verb == "stop":
            return Result(0)
        try:
            carry_out_order(self, self.paths.migration_order, ENVIRONMENT)
        except TljhError as error:
            self.last_words = str(error)
            return Result(1)
        self.state = "active"
        return Result(0)

    def run(self, argv, **options) -> Result:  # type: ignore[no-untyped-def]
        if self.dies_at in argv:
            raise Killed
        return super().run(argv, **options)


def alembic(path: Path, *arguments: str) -> None:
    code = (
        "import sys; from jupyterhub.dbutil import _temp_alembic_ini as ini\n"
        "from subprocess import check_call\n"
        "with ini(sys.argv[1]) as file: check_call(['alembic', '-c', file, *sys.argv[2:]])"
    )
    environ = {**os.environ, "PATH": f"{ENVIRONMENT}/bin:{os.environ['PATH']}"}
    command = [sys.executable, "-c", code, f"sqlite:///{path}", *arguments]
    subprocess.run(command, env=environ, check=True, capture_output=True)


@pytest.fixture(scope="module")
def of_earlier_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with a user in it, as a hub of JupyterHub 5.0 leaves it."""
    path = tmp_path_factory.mktemp("old") / FILE
    code = (
        "import sys; from jupyterhub import orm\n"
        "db = orm.new_session_factory(sys.argv[1])()\n"
        "db.add(orm.User(name='ada', admin=True)); db.commit()"
    )
    subprocess.run([sys.executable, "-c", code, f"sqlite:///{path}"], check=True)
    alembic(path, "downgrade", OLD)
    return path


@pytest.fixture
def state(tmp_path: Path, of_earlier_release: Path) -> Path:
    directory = tmp_path / "state"
    directory.mkdir()
    copy_database(of_earlier_release, directory / FILE)
    return directory


def planned(host: HostWithAHub) -> Plan:
    before = None if host.is_of_another_program else ENVIRONMENT
    database = HubDatabase(host.paths, ENVIRONMENT, environment_before=before)
    return plan([database, Unit("jupyterhub.service", restart_on=(database,))], host)


def rehearse(host: HostWithAHub) -> None:
    database = HubDatabase(host.paths, ENVIRONMENT)
    database.rehearse(host, {database.key}, SilentProgress())


def converge(host: HostWithAHub, health=lambda: None) -> int | None:
    journal = Journal(host.paths.journal_dir)
    recover(host, journal, SilentProgress())
    context = ChangeContext("root", "test", {})
    return apply(planned(host), host, journal, context, progress=SilentProgress(), health=health)


def newest() -> str:
    schemas = read_schemas(RealHost(), ENVIRONMENT)
    assert schemas is not None
    return schemas.newest


def users(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as opened:
        return [name for (name,) in opened.execute("SELECT name FROM users")]


def fail() -> None:
    raise TljhError("the hub does not answer")


def test_the_newest_schema_is_the_one_that_jupyterhub_gives_a_new_database(tmp_path):
    code = "import sys; from jupyterhub import orm; orm.new_session_factory(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, f"sqlite:///{tmp_path}/new"], check=True)
    assert read_schema(tmp_path / "new") == newest()
    schemas = read_schemas(RealHost(), ENVIRONMENT)
    assert schemas is not None
    assert OLD in schemas.migratable


@pytest.fixture
def host(state: Path) -> HostWithAHub:
    return HostWithAHub(state)


def test_an_older_database_is_copied_and_migrated_by_the_hub_that_starts(host, state):
    migration, _ = planned(host).steps
    assert migration.difference.summary.startswith(f"schema {OLD} -> {newest()}")
    assert converge(host) == 1
    assert read_schema(state / FILE) == newest()
    assert users(state / FILE) == ["ada"]
    assert host.verbs == ["restart"]
    (copy,) = (state / COPIES).iterdir()
    assert (copy.name, read_schema(copy)) == (f"1-{OLD}.sqlite", OLD)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert list(state.glob(f"{ORDER}*")) == []
    assert converge(host) is None


def test_a_machine_without_a_database_needs_no_migration(tmp_path):
    assert not planned(HostWithAHub(tmp_path))


def test_a_migration_is_tried_on_a_copy_that_is_deleted(host, state):
    rehearse(host)
    assert read_schema(state / FILE) == OLD
    assert [path.name for path in state.iterdir()] == [FILE]


def test_bad_health_restores_the_old_database_and_its_hub(host, state):
    with pytest.raises(TljhError, match="does not answer"):
        converge(host, fail)
    assert read_schema(state / FILE) == OLD
    assert users(state / FILE) == ["ada"]
    assert list((state / COPIES).iterdir()) == []
    assert list(state.glob(f"{ORDER}*")) == []
    assert host.state == "active"
    # A hub that is stopped loses the sockets where requests wait, on older releases of systemd.
    assert "stop" not in host.verbs
    assert converge(host) == 1


def test_a_hub_that_is_not_ours_gets_its_database_before_it_starts(host, state):
    host.is_of_another_program = True
    with pytest.raises(TljhError, match="does not answer"):
        converge(host, fail)
    assert read_schema(state / FILE) == OLD
    assert host.state == "active"
    assert host.verbs[-3:] == ["stop", "start", "restart"]


def test_a_copy_is_restored_also_if_the_hub_of_before_does_not_start(host, state):
    failures = ["restart", "restart"]
    real = host.systemctl

    def fail_to_restart(verb, *units, timeout_s=90):
        if verb == "restart" and len(failures) == 1:
            failures.pop()
            return Result(1)
        if verb == "restart" and failures:
            failures.pop()
        return real(verb, *units, timeout_s=timeout_s)

    host.systemctl = fail_to_restart
    with pytest.raises(TljhError, match="does not answer"):
        converge(host, fail)
    assert (read_schema(state / FILE), host.state) == (OLD, "active")


def test_a_hub_that_dies_after_it_restored_the_copy_restores_it_once(host, state):
    assert converge(host) == 1
    (copy,) = (state / COPIES).iterdir()
    undo = host.paths.migration_order.with_suffix(".undo")
    undo.write_text(json.dumps({"path": str(state / FILE), "copy": str(copy)}))
    for _ in range(2):
        carry_out_order(host, host.paths.migration_order, ENVIRONMENT)
        assert read_schema(state / FILE) == OLD
    assert not undo.exists()


def spoil(path: Path) -> None:
    """Add a column that a migration is going to add."""
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("ALTER TABLE spawners ADD COLUMN display_name VARCHAR")
        opened.commit()


def test_a_failed_migration_is_reported_in_its_own_words_and_reverted(host, state):
    spoil(state / FILE)
    with pytest.raises(TljhError, match="duplicate column"):
        rehearse(host)
    with pytest.raises(TljhError, match="duplicate column"):
        converge(host)
    assert read_schema(state / FILE) == OLD
    assert list(state.glob(f"{ORDER}*")) == []


def test_a_hub_that_failed_to_migrate_does_not_try_again(host, state):
    spoil(state / FILE)
    HubDatabase(Paths(state.parent), ENVIRONMENT).apply(host, SilentProgress())
    assert not host.systemctl("restart", "jupyterhub.service").ok
    assert host.systemctl("restart", "jupyterhub.service").ok
    assert read_schema(state / FILE) == OLD


def test_a_migration_past_its_deadline_is_reverted(host, state, monkeypatch):
    monkeypatch.setattr(database, "MIGRATION_TIMEOUT_S", 0.01)
    with pytest.raises(TljhError, match="did not finish within"):
        converge(host)
    assert read_schema(state / FILE) == OLD


@pytest.mark.parametrize("moment", ["restart", "tljh.hub.process.migrate_database"])
def test_killed_at_any_moment_the_next_run_converges(host, state, moment):
    host.dies_at = moment
    journal = Journal(state / "journal")
    journal.begin(host, user="", command="", changes=(), files={})
    with pytest.raises(Killed):
        for number, step in enumerate(planned(host).steps, start=1):
            journal.intend(host, number, step.resource)
            step.resource.apply(host, SilentProgress())
    host.dies_at = None
    assert recover(host, journal, SilentProgress())
    assert (read_schema(state / FILE), host.state) == (OLD, "active")
    assert list(state.glob(f"{ORDER}*")) == []
    assert converge(host) == 1
    assert users(state / FILE) == ["ada"]


def test_a_killed_hubs_open_transaction_is_not_in_the_copy(host, state):
    path = state / FILE
    # Dies in a transaction whose pages are on the disk already; SQLite's journal has the old ones.
    code = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1]); db.execute('PRAGMA cache_size=1')\n"
        "db.execute('PRAGMA cache_spill=1')\n"
        "for n in range(2000): db.execute('INSERT INTO users (name, admin, cookie_id)"
        " VALUES (?, 0, ?)', (f'u{n}', f'c{n}' * 40))\n"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.with_name(f"{FILE}-journal").exists()
    assert converge(host) == 1
    (copy,) = (state / COPIES).iterdir()
    assert users(copy) == ["ada"]
    assert users(path) == ["ada"]


def test_a_database_of_a_newer_release_is_refused_with_a_fix(host, state):
    with closing(sqlite3.connect(state / FILE)) as opened:
        opened.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        opened.commit()
    with pytest.raises(TljhError, match="made by a newer JupyterHub"):
        planned(host)


def test_a_limited_number_of_copies_is_kept(host, state, monkeypatch):
    monkeypatch.setattr(database, "migrate", lambda *_: None)
    for _ in range(4):
        assert converge(host)
    names = sorted(path.name for path in (state / COPIES).iterdir())
    assert names == [f"3-{OLD}.sqlite", f"4-{OLD}.sqlite"]
