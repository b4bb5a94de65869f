"""Limits that hold, starts that wait for their turn, and starts that fail with a reason."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator

import pytest

from machine import Machine
from machine.container import Result
from machine.image import CHECKOUT
from machine.virtual import VirtualMachine
from session import HubUser
from tljh.singleuser.limits import ServerLimits
from tljh.systemd.templates import render_unit

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
    assert "Many servers are starting: yours is next" in told
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
    assert "limits" in hub.run("tljh-config plan").stdout
    hub.run("tljh-config reload", timeout_s=120)
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
    assert hub.run("tljh logs --user nemo", check=False).code == 1
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


# What a container on a computer with cgroup v1 cannot show.

EAT = "python3 -c 'import sys, time; kept = bytearray(int(sys.argv[1]) << 20); time.sleep(1)'"


def in_unit(virtual: VirtualMachine, limits: ServerLimits, command: str, *options: str) -> Result:
    """Run a command as a server of somebody with these limits is run, to its end."""
    given = " ".join(f"-p {name}={value}" for name, value in limits.as_properties().items())
    how = "systemd-run --quiet --wait --pipe --collect --slice=jupyter.slice"
    return virtual.run(f"{how} {given} {' '.join(options)} {command}", check=False)


@pytest.fixture
def capped(virtual: VirtualMachine) -> VirtualMachine:
    """A machine whose servers may have 300 MB together, and which has swap."""
    text = render_unit("jupyter.slice", memory_max_bytes=300 << 20, tasks_max=400).decode()
    virtual.run("cat > /etc/systemd/system/jupyter.slice && systemctl daemon-reload", input=text)
    swap = "fallocate -l 1G /swap && chmod 600 /swap && mkswap -q /swap && swapon /swap"
    virtual.run(swap)
    return virtual


@pytest.mark.long
def test_limits_hold_with_cgroup_v2(capped: VirtualMachine) -> None:
    # Swap is no way around a limit, nor around the cap of all.
    alone = "systemd-run --quiet --wait --collect -p MemoryMax=60M"
    assert capped.run(f"{alone} {EAT} 100", check=False).code == 0
    assert in_unit(capped, ServerLimits(60 << 20), f"{EAT} 100").code != 0
    assert in_unit(capped, ServerLimits(None), f"{EAT} 400").code != 0
    assert in_unit(capped, ServerLimits(None), f"{EAT} 100").code == 0
    # What was ended is counted where the server's own program looks.
    module = copy_module(capped, "singleuser/kernel_deaths.py")
    look = (
        "import subprocess, sys; sys.path.insert(0, '/srv'); import kernel_deaths as k; "
        "w = k.Watch(k.Ended(), '62914560'); "
        "subprocess.run([sys.executable, '-c', 'bytearray(200 << 20)']); print(w.reason())"
    )
    limits = ServerLimits(60 << 20)
    told = in_unit(capped, limits, f'python3 -c "{look}"', "-p OOMPolicy=continue").stdout
    assert "all of the 60 MB" in told, f"{module}: {told}"
    # Shares of busy processors and disks reach the kernel.
    shares = "cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/{cpu,io}.weight"
    shown = in_unit(capped, ServerLimits(cpu_weight=50, io_weight=20), f"bash -c '{shares}'").stdout
    assert shown.split() == ["50", "default", "20"]
    # A fork bomb ends at the limit of its server.
    bomb = "bash -c 'for n in $(seq 200); do sleep 5 & done; wait'"
    assert "fork" in in_unit(capped, ServerLimits(tasks=60), bomb).stderr


@pytest.mark.long
def test_guaranteed_memory_is_not_taken_by_others(capped: VirtualMachine) -> None:
    capped.run("head -c 100M /dev/urandom > /srv/mine; head -c 500M /dev/zero > /srv/others; sync")

    def left_after_others_came(limits: ServerLimits) -> int:
        """Megabytes of what a server had read that are still in memory."""
        capped.run("echo 3 > /proc/sys/vm/drop_caches")
        given = " ".join(f"-p {name}={value}" for name, value in limits.as_properties().items())
        capped.run(
            f"systemd-run --quiet --unit mine --collect --slice=jupyter.slice {given} "
            "bash -c 'cat /srv/mine > /dev/null; touch /run/read; exec sleep 600'; "
            "timeout 60 bash -c 'until test -e /run/read; do sleep 0.2; done'; rm /run/read"
        )
        for _ in range(2):
            in_unit(capped, ServerLimits(None), "cat /srv/others", "> /dev/null")
        shown = capped.run("grep '^file ' /sys/fs/cgroup/jupyter.slice/mine.service/memory.stat")
        capped.run("systemctl stop mine")
        return int(shown.stdout.split()[1]) >> 20

    assert left_after_others_came(ServerLimits(None, 150 << 20)) >= 90
    assert left_after_others_came(ServerLimits(None)) < 50


@pytest.mark.long
def test_the_cap_of_all_servers_changes_while_they_run(capped: VirtualMachine) -> None:
    capped.run("systemd-run --quiet --slice=jupyter.slice sleep 600")
    text = render_unit("jupyter.slice", memory_max_bytes=200 << 20, tasks_max=300).decode()
    # What the plan does when the file has changed.
    capped.run("cat > /etc/systemd/system/jupyter.slice && systemctl daemon-reload", input=text)
    shown = capped.run("cat /sys/fs/cgroup/jupyter.slice/{memory.max,pids.max,memory.swap.max}")
    assert shown.stdout.split() == [str(200 << 20), "300", "0"]


@pytest.mark.long
def test_disk_space_is_limited_where_the_file_system_counts(virtual: VirtualMachine) -> None:
    copy_module(virtual, "host/quota.py")
    virtual.run(
        "truncate -s 100M /homes.img && mkfs.ext4 -q -O quota -E quotatype=usrquota /homes.img && "
        "mkdir /homes && mount -o loop,usrquota /homes.img /homes && "
        "useradd --home-dir /homes/a --create-home a"
    )
    uid = virtual.run("id -u a").stdout.strip()
    quota = "python3 -I /srv/quota.py"
    # As systemd runs it before the server of somebody with a limit.
    limited = "-p User=a -p 'ExecStartPre=-+/usr/bin/" + f"{quota} {uid} 5242880 /homes/a'"
    write = "dd if=/dev/zero of=/homes/a/file bs=1M count=10"
    done = in_unit(virtual, ServerLimits(), write, limited)
    assert "quota exceeded" in done.stderr
    ask = "import sys; sys.path.insert(0, '/srv'); import quota, pathlib; "
    ask += f"print(quota.read_quota(pathlib.Path('/homes/a'), {uid}))"
    shown = virtual.run(f'python3 -c "{ask}"').stdout
    assert "limit_bytes=5242880" in shown
    virtual.run("umount /homes && mount -o loop /homes.img /homes")
    # It counts, and holds nobody to it.
    assert virtual.run(f'python3 -c "{ask}"').stdout == "None\n"
    virtual.run("umount /homes && mount -o loop,usrquota /homes.img /homes")
    virtual.run(f"{quota} {uid} 0 /homes/a")
    assert in_unit(virtual, ServerLimits(), write, "-p User=a").code == 0


def copy_module(virtual: VirtualMachine, module: str) -> str:
    """Put a module that needs nothing else into the machine."""
    target = f"/srv/{module.rpartition('/')[2]}"
    virtual.copy_in(CHECKOUT / "tljh" / module, target)
    return target
