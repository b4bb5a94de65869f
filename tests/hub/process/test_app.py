"""The hub process during restarts: a real JupyterHub, with the test in place of systemd."""

from __future__ import annotations

import array
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.hub.process.running import free_port

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]
START_TIMEOUT_S = 60


class Systemd:
    """A stand-in for systemd that keeps the hub's socket and passes it to the next hub."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.kept: int | None = None
        self.messages = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.messages.bind(str(directory / "notify"))
        self.messages.settimeout(START_TIMEOUT_S)
        self.hub: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(self.directory / "notify"),
            "TLJH_APPLIED": str(self.directory / "applied"),
            "TLJH_INSTALL_PREFIX": str(self.directory),
            "PYTHONPATH": f"{HERE}:{CHECKOUT}",
        }
        passed: tuple[int, ...] = ()
        command = [sys.executable, "-m", "tljh.hub.process.app"]
        if self.kept is not None:
            # As systemd does: descriptor 3, its name, and the pid of the process itself.
            passed = (self.kept,)
            go = (
                f"import os,sys;os.dup2({self.kept},3);os.environ['LISTEN_PID']=str(os.getpid());"
                "os.execv(sys.executable,[sys.executable,'-m','tljh.hub.process.app'])"
            )
            command = [sys.executable, "-c", go]
            environment |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "hub"}
        with (self.directory / "hub.log").open("ab") as log:
            self.hub = subprocess.Popen(
                command,
                env=environment,
                cwd=self.directory,
                pass_fds=passed,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait_for("READY=1")

    def wait_for(self, message: str) -> None:
        while True:
            try:
                data, ancillary, _, _ = self.messages.recvmsg(4096, socket.CMSG_SPACE(16))
            except TimeoutError:
                pytest.fail((self.directory / "hub.log").read_text()[-3000:])
            for _, kind, raw in ancillary:
                if kind == socket.SCM_RIGHTS:
                    self.kept = array.array("i", raw)[0]
            if message in data.decode().splitlines():
                return

    def stop(self) -> None:
        self.begin_stop()
        self.await_end()

    def begin_stop(self) -> None:
        assert self.hub is not None
        self.hub.send_signal(signal.SIGTERM)
        self.wait_for("STOPPING=1")

    def await_end(self) -> None:
        assert self.hub is not None
        assert self.hub.wait(START_TIMEOUT_S) is not None

    def close_store(self) -> None:
        """Close the socket that is kept, as systemd does when the unit is stopped."""
        if self.kept is not None:
            os.close(self.kept)
            self.kept = None

    def close(self) -> None:
        if self.hub is not None and self.hub.poll() is None:
            self.hub.kill()
            self.hub.wait()
        self.close_store()
        self.messages.close()


@pytest.fixture
def systemd(tmp_path):
    applied = tmp_path / "applied"
    (applied / "jupyterhub_config.d").mkdir(parents=True)
    (tmp_path / "state").mkdir()
    port = free_port()
    traits = {
        "JupyterHub": {
            "hub_port": port,
            "hub_ip": "127.0.0.1",
            "bind_url": f"http://127.0.0.1:{port}/",
            "proxy_class": "lone_proxy.LoneProxy",
            "authenticator_class": "dummy",
            "db_url": "sqlite:///hub.sqlite",
            "cookie_secret_file": "cookie",
        },
        "Authenticator": {"allow_all": True},
    }
    (applied / "hub.json").write_text(json.dumps(traits))
    # A request that is in flight from the file `begun` until the file `finish`.
    (applied / "jupyterhub_config.d" / "slow.py").write_text(
        "import asyncio\n"
        "from pathlib import Path\n"
        "from jupyterhub.handlers import BaseHandler\n"
        "class Slow(BaseHandler):\n"
        "    async def get(self):\n"
        "        Path('begun').touch()\n"
        "        while not Path('finish').exists():\n"
        "            await asyncio.sleep(0.02)\n"
        "        self.write('slow but done')\n"
        "c.JupyterHub.extra_handlers = [(r'/slow', Slow)]\n"
    )
    with contextlib.closing(Systemd(tmp_path)) as systemd:
        systemd.port = port
        systemd.start()
        yield systemd


def eventually(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_TIMEOUT_S)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()


# JupyterHub sets the token of its form only for requests of pages.
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def forwarded_for(address: str) -> dict[str, str]:
    """Return the headers with the client's address that the proxy sends."""
    return {"X-Forwarded-For": address, "X-Real-Ip": address}


def test_a_restart_loses_no_request_neither_in_flight_nor_new(systemd, tmp_path):
    outcomes: list[tuple[int, bytes] | Exception] = []
    slow: list[tuple[int, bytes] | Exception] = []
    over = threading.Event()

    def ask(path: str, into: list[tuple[int, bytes] | Exception]) -> None:
        try:
            into.append(get(systemd.port, path))
        except Exception as error:
            into.append(error)

    def probe() -> None:
        askers = []
        while not over.wait(0.02):
            asker = threading.Thread(target=ask, args=("/hub/health", outcomes))
            asker.start()
            askers.append(asker)
        for asker in askers:
            asker.join()

    prober = threading.Thread(target=probe)
    prober.start()
    in_flight = threading.Thread(target=ask, args=("/hub/slow", slow))
    in_flight.start()
    try:
        eventually((tmp_path / "begun").exists)
        eventually(lambda: len(outcomes) > 10)
        systemd.begin_stop()
        (tmp_path / "finish").touch()
        systemd.await_end()
        systemd.start()
    finally:
        (tmp_path / "finish").touch()
        in_flight.join()
        over.set()
    prober.join()
    assert slow == [(200, b"slow but done")]
    assert len(outcomes) > 20
    assert [outcome for outcome in outcomes if outcome[0] != 200] == []


def test_connections_are_refused_once_the_unit_is_stopped(systemd):
    systemd.stop()
    systemd.close_store()
    with pytest.raises(ConnectionRefusedError):
        get(systemd.port, "/hub/health")


def test_answers_carry_the_mark_of_the_installation(systemd, tmp_path):
    systemd.stop()
    (tmp_path / "state" / "instance").write_text("abc123\n")
    systemd.start()
    connection = http.client.HTTPConnection("127.0.0.1", systemd.port, timeout=10)
    connection.request("GET", "/hub/login")
    assert connection.getresponse().headers["X-TLJH-Instance"] == "abc123"


def test_a_login_form_is_valid_over_either_address_of_this_machine(systemd):
    connection = http.client.HTTPConnection("127.0.0.1", systemd.port, timeout=10)
    connection.request("GET", "/hub/login", headers=NAVIGATION | forwarded_for("::1"))
    answer = connection.getresponse()
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    answer.read()
    form = urlencode({"username": "ada", "password": "x", "_xsrf": cookie.partition("=")[2]})
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    connection.request(
        "POST", "/hub/login", form, NAVIGATION | headers | forwarded_for("127.0.0.1")
    )
    assert connection.getresponse().status == 302


def test_an_idle_connection_does_not_hold_a_restart_up(systemd, tmp_path):
    idle = http.client.HTTPConnection("127.0.0.1", systemd.port, timeout=10)
    idle.request("GET", "/hub/health")
    assert idle.getresponse().read() == b""
    systemd.stop()
    assert "cut off after the drain" not in (tmp_path / "hub.log").read_text()
