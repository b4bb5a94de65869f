"""Limits that hold, starts that wait for their turn, and starts that fail with a reason."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator

import pytest

from machine import Machine
from session import HubUser

PEOPLE = ("alice", "bob", "carol", "dave")
GIB = 1 << 30
PROGRAM = "/opt/tljh/user/bin/jupyterhub-singleuser"
CONFIG = "/opt/tljh/config/config.yaml"
LIMITS = """
limits:
  concurrent_starts: 1
  memory: 2G
  users:
    bob: {memory: 500M, cpu: 1.5}
"""
NO_MEMORY = "bytearray(1 << 30)"


def password_of(name: str) -> str:
    return f"{name}-has-a-password"


@pytest.fixture(scope="module")
def hub(installed_shared: Machine) -> Machine:
    lines = "".join(f"{name},{password_of(name)}\n" for name in PEOPLE)
    installed_shared.run(["tee", "/root/people.csv"], input="name,password\n" + lines)
    installed_shared.run(f"cat >> {CONFIG}", input=LIMITS)
    installed_shared.run("tljh user import /root/people.csv", timeout_s=180)
    return installed_shared


def user_of(hub: Machine, name: str) -> HubUser:
    user = HubUser(f"http://{hub.address()}", name)
    user.login(password_of(name))
    return user


@pytest.fixture(scope="module")
def bob(hub: Machine) -> HubUser:
    user = user_of(hub, "bob")
    user.start_server()
    return user


def properties(hub: Machine, unit: str) -> dict[str, str]:
    wanted = "MemoryMax,MemorySwapMax,CPUQuotaPerSecUSec,CPUWeight,TasksMax,Slice,MainPID"
    shown = hub.run(f"systemctl show -p {wanted} {unit}").stdout
    return dict(line.split("=", 1) for line in shown.splitlines())


def events(user: HubUser) -> Iterator[dict[str, object]]:
    """What the page of a starting server is told, until it is ready or has failed."""
    path = f"/users/{user.quoted}/server/progress"
    with user.hub_api("GET", path, stream=True, timeout=120) as stream:
        for line in stream.iter_lines():
            if line.startswith(b"data: "):
                yield json.loads(line.removeprefix(b"data: "))


def ask_for_server(user: HubUser) -> None:
    answer = user.hub_api("POST", f"/users/{user.quoted}/server")
    assert answer.status_code in (201, 202), f"{answer.status_code}: {answer.text}"


def test_starts_wait_for_their_turn_and_who_waits_is_told(hub: Machine, bob: HubUser) -> None:
    carol, dave, alice = (user_of(hub, name) for name in ("carol", "dave", "alice"))
    for user in (carol, dave, alice):
        ask_for_server(user)
    told = [event["message"] for event in events(dave)]
    assert "Many servers start right now: yours is the next" in told
    assert told[-2:] == ["Starting your server", told[-1]]
    assert str(told[-1]).startswith("Server ready")
    # Whoever gives up leaves the queue, and no server of theirs starts.
    assert alice.hub_api("DELETE", "/users/alice/server").status_code in (202, 204)
    alice.await_server(ready=False)
    carol.await_server(ready=True)
    assert hub.run("systemctl is-active jupyter-alice", check=False).stdout == "inactive\n"


def test_a_server_has_its_users_limits_below_the_cap_of_all(hub: Machine, bob: HubUser) -> None:
    own = properties(hub, "jupyter-bob.service")
    assert own["MemoryMax"] == str(500 << 20)
    assert own["CPUQuotaPerSecUSec"] == "1.500000s"
    assert own["Slice"] == "jupyter.slice"
    assert properties(hub, "jupyter-dave.service")["MemoryMax"] == str(2 * GIB)
    everybodys = properties(hub, "jupyter.slice")
    total = int(hub.run("awk '/^MemTotal/ {print $2}' /proc/meminfo").stdout) * 1024
    assert total // 2 <= int(everybodys["MemoryMax"]) <= total - (512 << 20)
    assert everybodys["MemorySwapMax"] == "0"
    assert int(everybodys["TasksMax"]) > int(own["TasksMax"]) >= 512
    # The server knows its own limit, and shows it.
    assert bob.execute("import os; os.environ['MEM_LIMIT']") == repr(str(500 << 20))


def test_new_limits_hold_for_servers_that_run_and_an_undo_takes_them_back(
    hub: Machine, bob: HubUser
) -> None:
    pids = hub.run("systemctl show -p MainPID jupyterhub jupyter-dave").stdout
    kernel = bob.start_kernel()
    bob.execute("kept = bytearray(b'x') * (100 << 20)", kernel)
    hub.run("tljh-config set limits.memory 3G")
    # Less than bob has in use: nobody's kernel ends by a reload.
    hub.run("tljh-config set limits.users.bob '{memory: 120M, cpu: 1}'")
    shown = hub.run("tljh-config reload", timeout_s=120)
    assert "limits" in shown.stdout + shown.stderr
    assert properties(hub, "jupyter-dave.service")["MemoryMax"] == str(3 * GIB)
    bobs = properties(hub, "jupyter-bob.service")
    assert bobs["CPUQuotaPerSecUSec"] == "1s"
    assert bobs["MemoryMax"] == str(500 << 20)
    assert bob.execute("len(kept) >> 20", kernel) == "100"
    bob.api("DELETE", f"/kernels/{kernel}")
    hub.run("tljh-config rollback", timeout_s=120)
    assert properties(hub, "jupyter-dave.service")["MemoryMax"] == str(2 * GIB)
    assert properties(hub, "jupyter-bob.service")["CPUQuotaPerSecUSec"] == "1.500000s"
    assert hub.run("systemctl show -p MainPID jupyterhub jupyter-dave").stdout == pids


def test_a_kernel_that_takes_too_much_is_ended_with_a_reason_and_the_rest_goes_on(
    hub: Machine, bob: HubUser
) -> None:
    pids = hub.run("systemctl show -p MainPID jupyterhub jupyter-bob").stdout
    kernel = bob.start_kernel()
    channel = bob.socket(f"/api/kernels/{kernel}/channels?session_id=hog")
    told, state = "", ""
    cell = uuid.uuid4().hex
    header = {"msg_id": cell, "username": "", "session": "hog", "version": "5.3"}
    channel.send(
        json.dumps(
            {
                "header": {**header, "msg_type": "execute_request"},
                "parent_header": {},
                "metadata": {},
                "content": {"code": NO_MEMORY, "silent": False},
                "channel": "shell",
            }
        )
    )
    deadline = time.monotonic() + 60
    while state not in ("restarting", "dead"):
        assert time.monotonic() < deadline, told
        message = json.loads(channel.recv())
        state = message["content"].get("execution_state", "")
        if message["msg_type"] == "stream" and message["parent_header"].get("msg_id") == cell:
            told += message["content"]["text"]
    channel.close()
    assert "all of the 500 MB of memory that it may use" in told
    assert "was ended because your server used" in hub.run("tljh logs --user bob").stdout
    assert hub.run("systemctl show -p MainPID jupyterhub jupyter-bob").stdout == pids
    assert bob.execute("6 * 7") == "42"


def test_a_server_that_ends_at_once_is_told_at_once_with_its_last_lines(hub: Machine) -> None:
    alice = user_of(hub, "alice")
    program = '#!/opt/tljh/user/bin/python\\nimport sys\\nsys.exit("out of ponies")\\n'
    hub.run(f"mv {PROGRAM} {PROGRAM}.kept && printf '{program}' > {PROGRAM} && chmod 755 {PROGRAM}")
    hub.run("test ! -e /opt/tljh/singleuser.py || mv /opt/tljh/singleuser.py /root/")
    hub.run(f"test ! -e /root/singleuser.py || cp {PROGRAM} /opt/tljh/singleuser.py")
    try:
        began_s = time.monotonic()
        ask_for_server(alice)
        *_, last = events(alice)
        seconds = time.monotonic() - began_s
    finally:
        hub.run(f"mv {PROGRAM}.kept {PROGRAM}")
        hub.run("test ! -e /root/singleuser.py || mv /root/singleuser.py /opt/tljh/")
    assert last["failed"]
    assert "ended while it was starting, with exit status 1" in str(last["message"])
    assert "out of ponies" in str(last["html_message"])
    assert seconds < 20
    page = alice.http.get(f"{alice.url}/hub/spawn-pending/alice").text
    assert "ended while it was starting" in page
    assert "out of ponies" in hub.run("tljh logs hub --lines 200").stdout
    # Nothing is left that keeps the next start from working.
    alice.start_server()
