"""Attacks of one user on the whole machine, during which the hub answers."""

from __future__ import annotations

import contextlib
import select
import socket
import statistics
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import requests

from session import HubUser, import_users
from waiting import wait_until

pytestmark = [pytest.mark.machine]

PASSWORD = "correct-horse-7"
# The hub's promise to other users during an attack.
LONGEST_S = 1.0
PROBE_EVERY_S = 0.05
# About ten seconds of a hub that answers at once.
RESPONSES_DURING_ATTACK = 200
# Small limits, each below its default, because these tests share a computer with others.
LIMITS = "tljh-config set limits.tasks 300 && tljh-config set limits.memory 768M"
FILES = """
import itertools, os, pathlib
here = pathlib.Path.home() / "flood"; here.mkdir()
for number in itertools.count():
    os.close(os.open(here / str(number), os.O_CREAT | os.O_WRONLY))
"""
MEMORY = "x = []\nwhile True: x.append(bytearray(1 << 24))"
ATTACKS = {
    "a fork bomb": ":(){ :|:& };:",
    "all processors": "for i in $(seq 64); do while :; do :; done & done; wait",
    "all memory": f"while :; do python3 -c '{MEMORY}'; done",
    "thousands of files a second": f"python3 -c '{FILES}'",
    "a disk written all the time": "while :; do dd if=/dev/zero of=$HOME/big bs=1M count=300; done",
}


@dataclass
class Probe:
    """Requests for the hub's health, one after the other: their durations and failures."""

    url: str
    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def running(self):
        over = threading.Event()
        thread = threading.Thread(target=self._send, args=(over,))
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()

    def _send(self, over: threading.Event) -> None:
        while not over.wait(PROBE_EVERY_S):
            start_s = time.monotonic()
            try:
                response = requests.get(f"{self.url}/hub/health", timeout=30)
                if response.status_code != 200:
                    self.failed.append(str(response.status_code))
            except requests.RequestException as error:
                self.failed.append(str(error))
            self.seconds.append(time.monotonic() - start_s)

    def summary(self) -> str:
        median_ms, longest_ms = (1000 * f(self.seconds) for f in (statistics.median, max))
        count = len(self.seconds)
        return f"{count} responses, median {median_ms:.0f} ms, longest {longest_ms:.0f} ms"


@pytest.fixture(scope="module")
def hub(installed_shared):
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    import_users(machine, ("ann", "bob"), PASSWORD)
    machine.run(f"{LIMITS} && tljh-config reload")
    return machine


@pytest.fixture
def bob(hub):
    user = HubUser(hub.url, "bob")
    user.login(PASSWORD)
    user.start_server()
    yield user
    user.stop_server()
    hub.run("rm -rf /home/jupyter-bob/flood /home/jupyter-bob/big")


@pytest.mark.long
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_the_hub_answers_within_a_second_whatever_one_person_does(hub, bob, attack):
    bob.terminal(
        f"cat > ~/attack.sh <<'END'\n{attack}\nEND\n(setsid bash ~/attack.sh &> /dev/null &)"
    )
    probe = Probe(hub.url)
    with probe.running():
        wait_until(
            lambda: len(probe.seconds) >= RESPONSES_DURING_ATTACK,
            f"{RESPONSES_DURING_ATTACK} responses during the attack",
            timeout_s=120,
        )
        ann = HubUser(hub.url, "ann")
        ann.login(PASSWORD)
    print(probe.summary())
    assert not probe.failed
    assert max(probe.seconds) < LONGEST_S, probe.summary()
    assert "running" in hub.run("systemctl show -p SubState jupyter-bob.service").stdout
    bob.stop_server(timeout_s=30)


@pytest.fixture
def small_disk(hub):
    """Put the hub's state and bob's home on one small file system, like a machine with one disk."""
    hub.run(
        "truncate -s 200M /srv/disk.img && mkfs.ext4 -q /srv/disk.img && mkdir -p /srv/disk"
        " && mount -o loop /srv/disk.img /srv/disk && systemctl stop jupyterhub"
        " && cp -a /opt/tljh/state /srv/disk/state && mount --bind /srv/disk/state /opt/tljh/state"
        " && install -d -o jupyter-bob -g jupyter-bob -m 700 /srv/disk/home"
        " && mount --bind /srv/disk/home /home/jupyter-bob && systemctl start jupyterhub"
    )
    yield
    hub.run(
        "systemctl stop 'jupyter-*.service' jupyterhub; umount /opt/tljh/state /home/jupyter-bob"
        " /srv/disk; rm /srv/disk.img; systemctl start jupyterhub"
    )


@pytest.mark.long
def test_a_full_disk_stops_nobody_but_who_filled_it(hub, restored_config, small_disk):
    bob = HubUser(hub.url, "bob")
    bob.login(PASSWORD)
    bob.start_server()
    probe = Probe(hub.url)
    with probe.running():
        output = bob.terminal("cat /dev/zero > ~/big; touch ~/more && echo x > ~/more")
        assert "No space left" in output
        assert int(hub.run("df --output=avail /opt/tljh/state").stdout.split()[-1]) < 1000
        ann = HubUser(hub.url, "ann")
        ann.login(PASSWORD)
        ann.start_server()
        assert ann.execute("6 * 7") == "42"
        ann.stop_server()
        hub.run("tljh-config set services.cull.timeout 7200 && tljh-config reload")
    print(probe.summary())
    assert not probe.failed
    # Requests during the hub's restart wait for it, and may take longer.
    assert sorted(probe.seconds)[len(probe.seconds) * 9 // 10] < LONGEST_S, probe.summary()
    bob.terminal("rm ~/big && echo x > ~/more")
    assert bob.execute("6 * 7") == "42"


PORTS = """
import os, resource, socket, time
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held = []
for _ in range(2):
    if os.fork() == 0:
        while True:
            try:
                bound = socket.socket()
                bound.bind(("127.0.0.1", 0))
                held.append(bound)
            except OSError:
                time.sleep(0.01)
time.sleep(600)
"""
# Sockets that were sent to an own socket are in no list of open files.
SENT_PORTS = """
import os, resource, socket, time
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
kept = []
while True:
    left, right = socket.socketpair()
    kept += [left, right]
    try:
        while True:
            bound = [socket.socket() for _ in range(200)]
            for each in bound:
                each.bind(("127.0.0.1", 0))
            left.setblocking(False)
            socket.send_fds(left, [b"x"], [each.fileno() for each in bound])
            for each in bound:
                each.close()
    except OSError:
        for each in bound:
            each.close()
        time.sleep(0.01)
"""
TERMINALS = """
import os, resource, time
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
while True:
    try:
        os.openpty()
    except OSError:
        time.sleep(0.01)
"""


@pytest.mark.parametrize(
    ("attack", "ration"),
    [
        (PORTS, "ports of the machine"),
        (SENT_PORTS, "ports of the machine"),
        (TERMINALS, "pseudo terminals"),
    ],
    ids=["ports", "ports-sent", "terminals"],
)
def test_a_user_who_takes_all_of_what_is_shared_is_ended_and_others_work(hub, bob, attack, ration):
    before = hub.journal("jupyterhub", 2000).count(ration)
    bob.terminal(
        f"cat > ~/attack.py <<'END'\n{attack}\nEND\n(setsid python3 ~/attack.py &> /dev/null &)"
    )
    ann = HubUser(hub.url, "ann")
    probe = Probe(hub.url)
    with probe.running():
        wait_until(
            lambda: hub.journal("jupyterhub", 2000).count(ration) > before,
            f"the hub ends who took all {ration}",
            timeout_s=60,
        )
        ann.login(PASSWORD)
        ann.start_server()
        assert ann.execute("6 * 7") == "42"
        assert ann.terminal("echo in a $((40 + 2)) terminal").count("42 terminal")
    print(probe.summary())
    assert not probe.failed
    assert "running" not in hub.run("systemctl show -p SubState jupyter-bob.service").stdout
    assert hub.run("pgrep -u jupyter-bob -c", check=False).stdout.strip() == "0"
    ann.stop_server()


HALF_A_REQUEST = b"POST /hub/login HTTP/1.1\r\nHost: hub\r\nContent-Length: 1000\r\nX-A: "


@pytest.fixture
def slow_clients(hub):
    """Open more connections than one address may, each with half of a request's headers."""
    host = hub.address()
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(4096 + 200):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((host, 80))
            clients.append(client)

        def count_open() -> int:
            poll = select.poll()
            for client in clients:
                poll.register(client, select.POLLOUT)
            # Connections that wait for an answer are not writable.
            return sum(1 for _, event in poll.poll(0) if not event & select.POLLERR)

        wait_until(lambda: count_open() >= 4000, "the connections of the attack", timeout_s=60)
        for client in clients:
            with contextlib.suppress(OSError):
                client.send(HALF_A_REQUEST)
        yield count_open


def test_slow_clients_of_one_address_hold_so_many_connections_and_others_log_in(hub, slow_clients):
    def seconds_of_health() -> float:
        command = "curl -s -o /dev/null -w '%{http_code} %{time_total}' localhost/hub/health"
        status, seconds = hub.run(command).stdout.split()
        assert status == "200"
        return float(seconds)

    assert max(seconds_of_health() for _ in range(20)) < LONGEST_S
    assert 4000 <= slow_clients() <= 4096
    print(hub.run("ps -o rss= -C traefik").stdout)
