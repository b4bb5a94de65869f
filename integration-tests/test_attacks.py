"""What one person can do to take the machine down, and that the hub answers all the while."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import requests

from session import HubUser

pytestmark = [pytest.mark.machine]

PASSWORD = "correct-horse-7"
LONGEST_S = 1.0
PROBE_EVERY_S = 0.05
ATTACK_S = 10.0
# The limits are small, as these tests share a computer with others; each is below its default.
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
    """Asks the hub for its health all the time; remembers how long it took, and what failed."""

    url: str
    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def running(self):
        end = threading.Event()
        thread = threading.Thread(target=self._ask, args=(end,))
        thread.start()
        try:
            yield self
        finally:
            end.set()
            thread.join()

    def _ask(self, end: threading.Event) -> None:
        while not end.wait(PROBE_EVERY_S):
            began_s = time.monotonic()
            try:
                answer = requests.get(f"{self.url}/hub/health", timeout=30)
                if answer.status_code != 200:
                    self.failed.append(str(answer.status_code))
            except requests.RequestException as error:
                self.failed.append(str(error))
            self.seconds.append(time.monotonic() - began_s)

    def told(self) -> str:
        ordered = sorted(self.seconds)
        middle, last = ordered[len(ordered) // 2], ordered[-1]
        return (
            f"{len(ordered)} answers, median {middle * 1000:.0f} ms, longest {last * 1000:.0f} ms"
        )


@pytest.fixture(scope="module")
def hub(installed_shared):
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    lines = "name,password\\n" + "".join(f"{name},{PASSWORD}\\n" for name in ("ann", "bob"))
    machine.run(f"printf '{lines}' | tljh user import - && {LIMITS} && tljh-config reload")
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
        time.sleep(ATTACK_S)
        ann = HubUser(hub.url, "ann")
        ann.login(PASSWORD)
    print(probe.told())
    assert not probe.failed
    assert max(probe.seconds) < LONGEST_S, probe.told()
    assert "running" in hub.run("systemctl show -p SubState jupyter-bob.service").stdout
    began_s = time.monotonic()
    bob.stop_server()
    assert time.monotonic() - began_s < 30


@pytest.fixture
def small_disk(hub):
    """The hub's state and bob's home on one small file system, as a machine with one disk has."""
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
def test_a_full_disk_stops_nobody_but_who_filled_it(hub, small_disk):
    bob = HubUser(hub.url, "bob")
    bob.login(PASSWORD)
    bob.start_server()
    probe = Probe(hub.url)
    with probe.running():
        shown = bob.terminal("cat /dev/zero > ~/big; touch ~/more && echo x > ~/more")
        assert "No space left" in shown
        assert int(hub.run("df --output=avail /opt/tljh/state").stdout.split()[-1]) < 1000
        ann = HubUser(hub.url, "ann")
        ann.login(PASSWORD)
        ann.start_server()
        assert ann.execute("6 * 7") == "42"
        ann.stop_server()
        hub.run("tljh-config set services.cull.timeout 7200 && tljh-config reload")
    print(probe.told())
    assert not probe.failed
    # The reload restarts the hub meanwhile, for which requests wait.
    assert sorted(probe.seconds)[len(probe.seconds) * 9 // 10] < LONGEST_S, probe.told()
    bob.terminal("rm ~/big && echo x > ~/more")
    assert bob.execute("6 * 7") == "42"
