"""A move through the engine, from SQLite to real servers and back, with kills on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.databases.servers import Server, create_database
from tests.databases.test_copies import FILL, run
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.engine.apply import ChangeContext, apply, recover
from tljh.engine.file_resources import File
from tljh.engine.journal import Journal
from tljh.engine.plan import Plan, plan
from tljh.host.interface import Result, UnitInfo
from tljh.host.real import RealHost
from tljh.hub.database_client import ask_database
from tljh.hub.database_move import DatabaseMove, MoveMode, carry_out_move
from tljh.hub.facts import read_applied_database
from tljh.settings.database_address import DatabaseAddress, build_sqlite_address
from tljh.systemd.unit_resource import Unit

ENVIRONMENT = Path(sys.prefix)


class Killed(BaseException):
    """Simulates SIGKILL."""


@dataclass
class HostWithAHub(RealHost):
    """This machine, except that its only unit is a hub that only carries out the order."""

    paths: Paths
    state: str = "active"
    dies_at: str | None = None
    served: list[DatabaseAddress] = field(default_factory=list)

    def unit(self, name: str) -> UnitInfo:
        return UnitInfo(name, load="loaded", active=self.state, enabled="enabled")

    def journal(self, unit: str, lines: int = 20) -> str:
        return ""

    def write(self, path: Path, data: bytes, **access) -> None:  # type: ignore[no-untyped-def]
        super().write(path, data, **access)
        if self.dies_at == path.name:
            raise Killed

    def systemctl(self, verb: str, *units: str, timeout_s: float = 90) -> Result:
        if verb not in ("start", "stop", "restart"):
            return Result(0)
        if self.dies_at == verb:
            raise Killed
        self.state = "inactive"
        if verb == "stop":
            return Result(0)
        self.start_hub()
        self.state = "active"
        return Result(0)

    def start_hub(self) -> None:
        """Do what a starting hub does with its database."""
        address = read_applied_database(self, self.paths)
        assert address is not None
        carry_out_move(self, self.paths.move_order, ENVIRONMENT, address.url)
        self.served.append(address)

    @property
    def address(self) -> DatabaseAddress:
        address = read_applied_database(self, self.paths)
        assert address is not None
        return address

    def users(self) -> int:
        count: int = ask_database(self, ENVIRONMENT, "probe", self.address)["users"]
        return count


@pytest.fixture
def host(tmp_path: Path) -> HostWithAHub:
    paths = Paths(tmp_path)
    for directory in (paths.state_dir, paths.applied.directory):
        directory.mkdir(parents=True)
    address = build_sqlite_address(paths.hub_database)
    run(FILL, address.url)
    paths.applied.hub_file.write_bytes(as_file(address))
    return HostWithAHub(paths)


def as_file(address: DatabaseAddress) -> bytes:
    return json.dumps({"JupyterHub": {"db_url": address.url}}).encode()


def planned(host: HostWithAHub, target: DatabaseAddress, mode: MoveMode = "copy") -> Plan:
    move = DatabaseMove(host.paths, ENVIRONMENT, host.address, target, mode)
    file = File(host.paths.applied.hub_file, as_file(target), mode=0o600)
    unit = Unit("jupyterhub.service", restart_on=(move, file))
    move.rehearse(host, {move.key}, SilentProgress())
    return plan([move, file, unit], host)


def move_to(host: HostWithAHub, target: DatabaseAddress, health=lambda: None, **options) -> None:
    journal = Journal(host.paths.journal_dir)
    recover(host, journal, SilentProgress())
    context = ChangeContext("root", "test", {})
    apply(
        planned(host, target, **options),
        host,
        journal,
        context,
        progress=SilentProgress(),
        health=health,
    )


def fail() -> None:
    raise TljhError("the hub does not answer")


def test_a_database_moves_to_a_server_and_back_with_all_rows(host, server: Server):
    create_database(server, "moved")
    old = host.address
    move_to(host, server.at("moved"))
    assert host.served[-1] == server.at("moved")
    assert host.users() == 5
    # The old one is kept, and where it is replaced, too.
    assert host.paths.hub_database.is_file()
    run(
        "import sys; from jupyterhub import orm\n"
        "db = orm.new_session_factory(sys.argv[1])(); db.add(orm.User(name='later')); db.commit()",
        host.address.url,
    )
    move_to(host, old)
    assert host.served[-1] == old
    assert host.users() == 6
    assert host.paths.replaced_database.is_file()
    with pytest.raises(TljhError, match="is not empty: a hub with 6 users"):
        move_to(host, server.at("moved"))
    move_to(host, server.at("moved"), mode="replace")
    assert host.users() == 6


def test_a_hub_that_fails_on_the_new_database_gets_the_old_one_back(host, server: Server):
    create_database(server, "failing")
    old = host.address
    with pytest.raises(TljhError):
        move_to(host, server.at("failing"), health=fail)
    assert host.address == old
    assert host.state == "active"
    assert host.users() == 5
    assert ask_database(host, ENVIRONMENT, "probe", server.at("failing"))["is_empty"]
    move_to(host, server.at("failing"))
    assert host.users() == 5


@pytest.mark.parametrize("died_at", ["move-database.json", "hub.json", "restart"])
def test_killed_anywhere_a_hub_has_the_old_database_or_the_whole_new_one(
    host, postgresql: Server, died_at
):
    name = f"killed_{died_at.partition('.')[0].replace('-', '_')}"
    create_database(postgresql, name)
    old = host.address
    host.dies_at = died_at
    with pytest.raises(Killed):
        move_to(host, postgresql.at(name))
    host.dies_at = None
    # The machine reboots before any command of tljh runs.
    host.start_hub()
    assert host.users() == 5
    # The next command rolls the killed one back; the move works again after it.
    recover(host, Journal(host.paths.journal_dir), SilentProgress())
    assert host.address == old
    assert host.users() == 5
    move_to(host, postgresql.at(name))
    assert host.address == postgresql.at(name)
    assert host.users() == 5


def test_a_copy_that_is_killed_half_way_is_begun_again(host, server: Server):
    create_database(server, "half")
    target = server.at("half")
    host.dies_at = "restart"
    with pytest.raises(Killed):
        move_to(host, target)
    order = host.paths.move_order
    content = json.loads(order.read_bytes())
    order.rename(order.with_suffix(".begun"))
    worker = subprocess.Popen(
        [sys.executable, "-m", "tljh.hub.process.database_worker"], stdin=subprocess.PIPE, text=True
    )
    assert worker.stdin is not None
    worker.stdin.write(json.dumps({"action": "copy", **content}))
    worker.stdin.close()
    # As soon as the copy has begun to create tables.
    while worker.poll() is None:
        if server.ask("SELECT count(*) FROM alembic_version", "half").ok:
            worker.kill()
            break
    worker.wait(60)
    host.start_hub()
    assert host.served[-1] == target
    assert host.users() == 5
