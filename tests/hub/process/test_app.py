"""The hub process under restarts: a real JupyterHub, with the test in systemd's place."""

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
from pathlib import Path
from urllib.parse import urlencode

import pytest

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[2]
START_TIMEOUT_S = 60


class Systemd:
    """Keeps the hub's socket and hands it to the next hub, as the file descriptor store does."""

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
            # What systemd does: descriptor 3, its name, and the pid of the very process.
            passed = (self.kept,)
            go = (
                f"import os,sys;os.dup2({self.kept},3);os.environ['LISTEN_PID']=str(os.getpid());"
                "os.execv(sys.executable,[sys.executable,'-m','tljh.hub.process.app'])"
            )
            command = [sys.executable, "-c", go]
            environment |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "hub"}
        log = (self.directory / "hub.log").open("ab")
        self.hub = subprocess.Popen(
            command,
            env=environment,
            cwd=self.directory,
            pass_fds=passed,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self.wait_for("READY=1")

    def wait_for(self, wanted: str) -> None:
        while True:
            try:
                data, ancillary, _, _ = self.messages.recvmsg(4096, socket.CMSG_SPACE(16))
            except TimeoutError:
                pytest.fail((self.directory / "hub.log").read_text()[-3000:])
            for _, kind, raw in ancillary:
                if kind == socket.SCM_RIGHTS:
                    self.kept = array.array("i", raw)[0]
            if wanted in data.decode().splitlines():
                return

    def stop(self) -> None:
        assert self.hub is not None
        self.hub.send_signal(signal.SIGTERM)
        assert self.hub.wait(START_TIMEOUT_S) is not None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def systemd(tmp_path):
    applied = tmp_path / "applied"
    (applied / "jupyterhub_config.d").mkdir(parents=True)
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
    # A request that takes its time, to be in flight when the hub is told to stop.
    (applied / "jupyterhub_config.d" / "slow.py").write_text(
        "import asyncio\n"
        "from jupyterhub.handlers import BaseHandler\n"
        "class Slow(BaseHandler):\n"
        "    async def get(self):\n"
        "        await asyncio.sleep(1)\n"
        "        self.write('slow but done')\n"
        "c.JupyterHub.extra_handlers = [(r'/slow', Slow)]\n"
    )
    here = Systemd(tmp_path)
    here.port = port
    here.start()
    yield here
    if here.hub and here.hub.poll() is None:
        here.hub.kill()
        here.hub.wait()


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_TIMEOUT_S)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read()


# JupyterHub gives the token of its form to pages only.
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def forwarded_for(address: str) -> dict[str, str]:
    """The headers by which the proxy tells who asks."""
    return {"X-Forwarded-For": address, "X-Real-Ip": address}


def test_a_restart_loses_no_request_neither_in_flight_nor_new(systemd):
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
    deadline = time.monotonic() + 10
    # The slow request is on its way once probes that were sent after it have been answered.
    while len(outcomes) < 10 and time.monotonic() < deadline:
        over.wait(0.02)
    systemd.stop()
    systemd.start()
    in_flight.join()
    over.set()
    prober.join()
    assert slow == [(200, b"slow but done")]
    assert len(outcomes) > 20
    assert [outcome for outcome in outcomes if outcome[0] != 200] == []


def test_connections_are_refused_once_the_hub_is_stopped_for_good(systemd):
    systemd.stop()
    os.close(systemd.kept)
    with pytest.raises(ConnectionRefusedError):
        get(systemd.port, "/hub/health")


def test_answers_carry_the_mark_of_the_installation(systemd, tmp_path):
    systemd.stop()
    (tmp_path / "state").mkdir()
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
