"""Real database servers for a test: Debian's programs, with their data in a private directory."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hub.process.running import free_port
from tljh.settings.database_address import DatabaseAddress

POSTGRES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
MARIADB = shutil.which("mariadbd", path="/usr/sbin:/usr/bin")
START_TIMEOUT_S = 60


@dataclass
class Server:
    """A server that can be stopped, killed and started again with what it had."""

    kind: str
    directory: Path
    port: int
    account: str
    process: subprocess.Popen[bytes] | None = None
    options: tuple[str, ...] = ()

    @property
    def address(self) -> DatabaseAddress:
        return self.at("hub")

    def at(self, name: str) -> DatabaseAddress:
        """Return the address of a database of the server."""
        place = self.directory
        if self.kind == "postgresql":
            url = f"postgresql+psycopg://root@/{name}?host={place}&port={self.port}"
        else:
            url = f"mysql+pymysql://root@/{name}?unix_socket={place}/socket&charset=utf8mb4"
        return DatabaseAddress(self.kind, url)  # type: ignore[arg-type]

    def _command(self) -> list[str]:
        place = str(self.directory)
        if self.kind == "postgresql":
            options = ["-k", place, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1"]
            command = [f"{POSTGRES}/postgres", "-D", f"{place}/data", *options, "-c", "fsync=off"]
            return [*command, *self.options]
        return [
            str(MARIADB),
            "--no-defaults",
            f"--datadir={place}/data",
            f"--socket={place}/socket",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--pid-file={place}/pid",
            *self.options,
        ]

    def as_account(self, command: list[str]) -> list[str]:
        """Return a command line as the server's own account: neither server runs as root."""
        return ["runuser", "-u", self.account, "--", *command] if os.getuid() == 0 else command

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.as_account(self._command()),
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.directory,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.ask("SELECT 1", database="").ok:
            assert self.process.poll() is None, (self.directory / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def stop(self) -> None:
        """End the server at once, with its connections, as its machine's failure would."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGQUIT if self.kind == "postgresql" else 9)
            self.process.wait(START_TIMEOUT_S)

    def ask(self, statement: str, database: str = "hub") -> Answer:
        """Have the server's own client run a statement."""
        if self.kind == "postgresql":
            command = [f"{POSTGRES}/psql", "-h", str(self.directory), "-p", str(self.port)]
            command += ["-U", "root", "-XAtqc", statement, database or "postgres"]
        else:
            command = ["mariadb", "--no-defaults", "-S", f"{self.directory}/socket", "-NBe"]
            command += [statement, *([database] if database else [])]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return Answer(result.returncode == 0, result.stdout.strip() or result.stderr.strip())


@dataclass(frozen=True)
class Answer:
    """What a server's client printed."""

    ok: bool
    text: str


def make_server(kind: str, directory: Path) -> Server:
    """Start a new server with an empty database; skip the test where it is not installed."""
    pytest.importorskip("psycopg" if kind == "postgresql" else "pymysql")
    program = POSTGRES if kind == "postgresql" else MARIADB
    if program is None:
        pytest.skip(f"{kind} is not installed (apt install postgresql mariadb-server)")
    account = "postgres" if kind == "postgresql" else "mysql"
    server = Server(kind, directory, free_port(), account)
    directory.mkdir(parents=True)
    if os.getuid() == 0:
        os.chown(directory, pwd.getpwnam(account).pw_uid, -1)
    if kind == "postgresql":
        command = [f"{POSTGRES}/initdb", "-D", f"{directory}/data", "-A", "trust", "-U", "root"]
        command += ["-E", "UTF8", "--locale=C"]
    else:
        command = ["mariadb-install-db", "--no-defaults", f"--datadir={directory}/data"]
        command += ["--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(
        server.as_account(command), check=True, capture_output=True, timeout=120, cwd=directory
    )
    server.start()
    # With it, nobody from this machine would be taken for an account of `@'%'`.
    if kind == "mysql":
        server.ask("DROP USER IF EXISTS ''@'localhost'", database="")
    create_database(server, "hub")
    return server


def create_database(server: Server, name: str) -> None:
    exact = "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
    ending = exact if server.kind == "mysql" else ""
    answer = server.ask(f"CREATE DATABASE {name} {ending}", database="")
    assert answer.ok, answer.text
