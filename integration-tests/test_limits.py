"""Limits of servers, the queue of starts, and starts that fail with a reason."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from machine import Machine
from machine.container import Result
from machine.virtual import VirtualMachine
from session import HubUser, import_users
from tljh.host import quota
from tljh.singleuser.inside import kernel_deaths
from tljh.singleuser.limits import ServerLimits
from tljh.systemd.templates import render_unit

NAMES = ("alice", "bob", "carol", "dave", "erin")
PASSWORD = "correct-horse-7"
GIB = 1 << 30
PROGRAM = "/opt/tljh/user/bin/jupyterhub-singleuser"
LAUNCHER = "/opt/tljh/singleuser.py"
CONFIG = "/opt/tljh/config/config.yaml"
LIMITS = """
limits:
  concurrent_starts: 1
  memory: 2G
  users:
    bob: {memory: 500M, cpu: 1.5}
"""
NO_MEMORY = "bytearray(1 << 30)"


@pytest.fixture(scope="module")
def hub(installed_shared: Machine) -> Machine:
    installed_shared.run(f"cat >> {CONFIG}", input=LIMITS)
    import_users(installed_shared, NAMES, PASSWORD)
    return installed_shared


def user_of(hub: Machine, name: str) -> HubUser:
    user = HubUser(f"http://{hub.address()}", name)
    user.login(PASSWORD)
    return user


@pytest.fixture(scope="module")
def bob(hub: Machine) -> HubUser:
    user = user_of(hub, "bob")
    user.start_server()
    return user


@pytest.fixture(scope="module")
def dave(hub: Machine) -> HubUser:
    user = user_of(hub, "dave")
    user.start_server()
    return user


def properties(hub: Machine, unit: str) -> dict[str, str]:
    names = "MemoryMax,MemorySwapMax,CPUQuotaPerSecUSec,CPUWeight,TasksMax,Slice,MainPID"
    output = hub.run(f"systemctl show -p {names} {unit}").stdout
    return dict(line.split("=", 1) for line in output.splitlines())


def events(user: HubUser) -> Iterator[dict[str, object]]:
    """Yield the progress events of a starting server, until it is ready or has failed."""
    path = f"/users/{user.quoted}/server/progress"
    with user.hub_api("GET", path, stream=True, timeout=120) as stream:
        for line in stream.iter_lines():
            if line.startswith(b"data: "):
                yield json.loads(line.removeprefix(b"data: "))


def ask_for_server(user: HubUser) -> None:
    response = user.hub_api("POST", f"/users/{user.quoted}/server")
    assert response.status_code in (201, 202), f"{response.status_code}: {response.text}"


def test_starts_wait_for_their_turn_and_show_it(
    hub: Machine, cleanup: contextlib.ExitStack
) -> None:
    carol, erin, alice = (user_of(hub, name) for name in ("carol", "erin", "alice"))
    for user in (carol, erin, alice):
        ask_for_server(user)
        cleanup.callback(user.stop_server)
    messages = [event["message"] for event in events(erin)]
    assert "Many servers are starting: yours is next" in messages
    assert messages[-2:] == ["Starting your server", messages[-1]]
    assert str(messages[-1]).startswith("Server ready")
    # A user who gives up leaves the queue, and no server starts.
    assert alice.hub_api("DELETE", "/users/alice/server").status_code in (202, 204)
    alice.await_server(ready=False)
    carol.await_server(ready=True)
    assert hub.run("systemctl is-active jupyter-alice", check=False).stdout == "inactive\n"


def test_a_server_has_its_users_limits_below_the_cap_of_all(
    hub: Machine, bob: HubUser, dave: HubUser
) -> None:
    own = properties(hub, "jupyter-bob.service")
    assert own["MemoryMax"] == str(500 << 20)
    assert own["CPUQuotaPerSecUSec"] == "1.500000s"
    assert own["Slice"] == "jupyter.slice"
    assert properties(hub, "jupyter-dave.service")["MemoryMax"] == str(2 * GIB)
    slice_ = properties(hub, "jupyter.slice")
    total = int(hub.run("awk '/^MemTotal/ {print $2}' /proc/meminfo").stdout) * 1024
    assert total // 2 <= int(slice_["MemoryMax"]) <= total - (512 << 20)
    assert slice_["MemorySwapMax"] == "0"
    assert int(slice_["TasksMax"]) > int(own["TasksMax"]) >= 512
    # JupyterLab shows the limit from this variable.
    assert bob.execute("import os; os.environ['MEM_LIMIT']") == repr(str(500 << 20))


def test_new_limits_hold_for_running_servers_until_they_are_rolled_back(
    hub: Machine, bob: HubUser, dave: HubUser, restored_config: None
) -> None:
    pids = hub.run("systemctl show -p MainPID jupyterhub jupyter-dave").stdout
    kernel = bob.start_kernel()
    bob.execute("kept = bytearray(b'x') * (100 << 20)", kernel)
    hub.run("tljh-config set limits.memory 3G")
    # Less than bob has in use. A reload ends no kernel, so the old limit stays.
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


def test_a_kernel_over_the_memory_limit_is_killed_with_a_reason_and_the_server_stays(
    hub: Machine, bob: HubUser
) -> None:
    pids = hub.run("systemctl show -p MainPID jupyterhub jupyter-bob").stdout
    kernel = bob.start_kernel()
    channel = bob.socket(f"/api/kernels/{kernel}/channels?session_id=hog")
    output, state = "", ""
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
        assert time.monotonic() < deadline, output
        message = json.loads(channel.recv())
        state = message["content"].get("execution_state", "")
        if message["msg_type"] == "stream" and message["parent_header"].get("msg_id") == cell:
            output += message["content"]["text"]
    channel.close()
    assert "all of the 500 MB of memory that it may use" in output
    assert "was ended because your server used" in hub.run("tljh logs --user bob").stdout
    assert hub.run("tljh logs --user nemo", check=False).code == 1
    assert hub.run("systemctl show -p MainPID jupyterhub jupyter-bob").stdout == pids
    assert bob.execute("6 * 7") == "42"


@contextlib.contextmanager
def failing_program(hub: Machine) -> Iterator[None]:
    """Replace the programs that start a server by one that fails at once."""
    program = '#!/opt/tljh/user/bin/python\nimport sys\nsys.exit("out of ponies")\n'
    paths = [
        path for path in (PROGRAM, LAUNCHER) if not hub.run(f"test -e {path}", check=False).code
    ]
    for path in paths:
        hub.run(f"mv {path} {path}.saved && cat > {path} && chmod 755 {path}", input=program)
    try:
        yield
    finally:
        for path in paths:
            hub.run(f"mv {path}.saved {path}")


def test_a_start_that_fails_is_reported_at_once_with_the_servers_last_lines(
    hub: Machine, cleanup: contextlib.ExitStack
) -> None:
    alice = user_of(hub, "alice")
    with failing_program(hub):
        start_s = time.monotonic()
        ask_for_server(alice)
        *_, last = events(alice)
        # Long before the start's timeout: the hub sees that the unit has ended.
        assert time.monotonic() - start_s < 20
    assert last["failed"]
    assert "ended while it was starting, with exit status 1" in str(last["message"])
    assert "out of ponies" in str(last["html_message"])
    page = alice.http.get(f"{alice.url}/hub/spawn-pending/alice").text
    assert "ended while it was starting" in page
    assert "out of ponies" in hub.run("tljh logs hub --lines 200").stdout
    # The next start works.
    cleanup.callback(alice.stop_server)
    alice.start_server()


# The rest needs cgroup v2, which a container has only where this computer has it.

EAT = "python3 -c 'import sys; bytearray(int(sys.argv[1]) << 20)'"


def in_unit(virtual: VirtualMachine, limits: ServerLimits, command: str, *options: str) -> Result:
    """Run a command with the limits of a server, to its end."""
    run = "systemd-run --quiet --wait --pipe --collect --slice=jupyter.slice"
    properties = unit_properties(limits)
    return virtual.run(f"{run} {properties} {' '.join(options)} {command}", check=False)


def unit_properties(limits: ServerLimits) -> str:
    return " ".join(f"-p {name}={value}" for name, value in limits.as_properties().items())


@pytest.fixture
def capped(virtual: VirtualMachine) -> VirtualMachine:
    """Give the machine swap, and its servers 300 MB together."""
    text = render_unit("jupyter.slice", memory_max_mib=300, tasks_max=400).decode()
    virtual.run("cat > /etc/systemd/system/jupyter.slice && systemctl daemon-reload", input=text)
    swap = "fallocate -l 1G /swap && chmod 600 /swap && mkswap -q /swap && swapon /swap"
    virtual.run(swap)
    return virtual


@pytest.mark.long
def test_limits_hold_with_cgroup_v2(capped: VirtualMachine) -> None:
    # Swap does not extend a limit, nor the cap of all servers.
    outside = "systemd-run --quiet --wait --collect -p MemoryMax=60M"
    assert capped.run(f"{outside} {EAT} 100", check=False).code == 0
    assert in_unit(capped, ServerLimits(60 << 20), f"{EAT} 100").code != 0
    assert in_unit(capped, ServerLimits(None), f"{EAT} 400").code != 0
    assert in_unit(capped, ServerLimits(None), f"{EAT} 100").code == 0
    # The server's own program sees the count of kills.
    module = copy_module(capped, kernel_deaths)
    program = (
        "import subprocess, sys; sys.path.insert(0, '/srv'); import kernel_deaths as k; "
        "w = k.DeathReasons(k.MemoryKills(), '62914560'); "
        "subprocess.run([sys.executable, '-c', 'bytearray(200 << 20)']); print(w.reason())"
    )
    limits = ServerLimits(60 << 20)
    output = in_unit(capped, limits, f'python3 -c "{program}"', "-p OOMPolicy=continue").stdout
    assert "all of the 60 MB" in output, f"{module}: {output}"
    # The weights of processors and disks reach the kernel.
    shares = "cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/{cpu,io}.weight"
    weights = ServerLimits(cpu_weight=50, io_weight=20)
    output = in_unit(capped, weights, f"bash -c '{shares}'").stdout
    assert output.split() == ["50", "default", "20"]
    # A fork bomb ends at the limit of its server.
    bomb = "bash -c 'for n in $(seq 200); do sleep 5 & done; wait'"
    assert "fork" in in_unit(capped, ServerLimits(tasks=60), bomb).stderr


@pytest.mark.long
def test_guaranteed_memory_is_not_taken_by_others(capped: VirtualMachine) -> None:
    capped.run("head -c 100M /dev/urandom > /srv/mine; head -c 500M /dev/zero > /srv/others; sync")

    def cached_after_others_read(limits: ServerLimits) -> int:
        """Return how many megabytes of what a server had read are still in memory."""
        capped.run("echo 3 > /proc/sys/vm/drop_caches")
        capped.run(
            "systemd-run --quiet --unit mine --collect --slice=jupyter.slice "
            f"{unit_properties(limits)} "
            "bash -c 'cat /srv/mine > /dev/null; touch /run/read; exec sleep 600'; "
            "timeout 60 bash -c 'until test -e /run/read; do sleep 0.2; done'; rm /run/read"
        )
        for _ in range(2):
            in_unit(capped, ServerLimits(None), "cat /srv/others", "> /dev/null")
        statistics = capped.run(
            "grep '^file ' /sys/fs/cgroup/jupyter.slice/mine.service/memory.stat"
        )
        capped.run("systemctl stop mine")
        return int(statistics.stdout.split()[1]) >> 20

    assert cached_after_others_read(ServerLimits(None, 150 << 20)) >= 90
    assert cached_after_others_read(ServerLimits(None)) < 50


@pytest.mark.long
def test_the_cap_of_all_servers_changes_while_they_run(capped: VirtualMachine) -> None:
    capped.run("systemd-run --quiet --slice=jupyter.slice sleep 600")
    text = render_unit("jupyter.slice", memory_max_mib=200, tasks_max=300).decode()
    # The plan does the same when the file has changed.
    capped.run("cat > /etc/systemd/system/jupyter.slice && systemctl daemon-reload", input=text)
    values = capped.run("cat /sys/fs/cgroup/jupyter.slice/{memory.max,pids.max,memory.swap.max}")
    assert values.stdout.split() == [str(200 << 20), "300", "0"]


@pytest.mark.long
def test_disk_space_is_limited_where_the_file_system_counts(virtual: VirtualMachine) -> None:
    copy_module(virtual, quota)
    virtual.run(
        "truncate -s 100M /homes.img && mkfs.ext4 -q -O quota -E quotatype=usrquota /homes.img && "
        "mkdir /homes && mount -o loop,usrquota /homes.img /homes && "
        "useradd --home-dir /homes/a --create-home a"
    )
    uid = virtual.run("id -u a").stdout.strip()
    set_quota = "python3 -I /srv/quota.py"
    # systemd runs it so before the server of a user with a limit.
    limited = "-p User=a -p 'ExecStartPre=-+/usr/bin/" + f"{set_quota} {uid} 5242880 /homes/a'"
    write = "dd if=/dev/zero of=/homes/a/file bs=1M count=10"
    done = in_unit(virtual, ServerLimits(), write, limited)
    assert "quota exceeded" in done.stderr
    query = "import sys; sys.path.insert(0, '/srv'); import quota, pathlib; "
    query += f"print(quota.read_quota(pathlib.Path('/homes/a'), {uid}))"
    output = virtual.run(f'python3 -c "{query}"').stdout
    assert "limit_bytes=5242880" in output
    virtual.run("umount /homes && mount -o loop /homes.img /homes")
    # Without the mount option no limit holds.
    assert virtual.run(f'python3 -c "{query}"').stdout == "None\n"
    virtual.run("umount /homes && mount -o loop,usrquota /homes.img /homes")
    virtual.run(f"{set_quota} {uid} 0 /homes/a")
    assert in_unit(virtual, ServerLimits(), write, "-p User=a").code == 0


def copy_module(virtual: VirtualMachine, module: ModuleType) -> str:
    """Copy a module without dependencies into the machine, and return its path."""
    source = Path(str(module.__file__))
    target = f"/srv/{source.name}"
    virtual.copy_in(source, target)
    return target
