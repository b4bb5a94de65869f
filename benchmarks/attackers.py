"""One user attacks what all share, while twenty others log in and work: how many succeed, how fast.

    python3 benchmarks/attackers.py [--users 20] [--machine NAME] [--attack NAME]… [--json]

The servers of all users run. For each attack, and once without one, all users log in at once with a
password, and run code in a kernel of their servers. Prints how many succeeded, the seconds of the
slowest as a multiple of those without an attack, and the longest response of /hub/health, which is
requested every tenth of a second meanwhile. Run as root, with nothing else on the computer.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from crowd import (
    HubUser,
    Machine,
    add_users,
    at_once,
    installed_machine,
    password_of,
    watched_health,
)

ATTACKER = "mallory"
SETTLE_S = 5.0
STARTED_AT_ONCE = 5

# Programs that run in the attacker's server, without end.
MANY_FILES = """
import resource
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
"""
FOR_EVER = """
def for_ever(step):
    while True:
        try:
            step()
        except (OSError, MemoryError):
            time.sleep(0.01)
"""
PROGRAMS = {
    "ports": """
import os, socket, time
held = []
def bind():
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    held.append(bound)
os.fork()
for_ever(bind)
""",
    "ports of sockets that were sent": """
import socket, time
kept = []
def hide():
    left, right = socket.socketpair()
    kept.extend((left, right))
    left.setblocking(False)
    while True:
        bound = [socket.socket() for _ in range(200)]
        try:
            for each in bound:
                each.bind(("127.0.0.1", 0))
            socket.send_fds(left, [b"x"], [each.fileno() for each in bound])
        finally:
            for each in bound:
                each.close()
for_ever(hide)
""",
    "pseudo terminals": "import os, time\nfor_ever(os.openpty)\n",
    "open connections": """
import os, socket, time
held = []
listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
def connect():
    held.append(socket.create_connection(listener.getsockname(), 1))
    held.append(listener.accept()[0])
for_ever(connect)
""",
    "connections that open and close": """
import socket, time
listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
def connect():
    socket.create_connection(listener.getsockname(), 1).close()
    listener.accept()[0].close()
for_ever(connect)
""",
    "requests at the hub's port": """
import os, socket, time
for _ in range(3):
    os.fork()
def ask():
    with socket.create_connection(("127.0.0.1", 15001), 5) as hub:
        hub.sendall(b"GET /hub/login HTTP/1.1\\r\\nHost: hub\\r\\nConnection: close\\r\\n\\r\\n")
        while hub.recv(65536):
            pass
for_ever(ask)
""",
    "connections to the hub's port": """
import socket, time
held = []
def connect():
    hub = socket.create_connection(("127.0.0.1", 15001), 5)
    hub.sendall(b"POST /hub/login HTTP/1.1\\r\\nHost: hub\\r\\nX-A: ")
    held.append(hub)
for_ever(connect)
""",
    "inotify": """
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
os.makedirs("/tmp/watched", exist_ok=True)
count = 0
instances = [libc.inotify_init1(0) for _ in range(512)]
instances = [each for each in instances if each >= 0]
def watch():
    global count
    count += 1
    path = f"/tmp/watched/{count}"
    os.mkdir(path)
    for each in instances[:8]:
        if libc.inotify_add_watch(each, path.encode(), 0xfff) < 0:
            raise OSError
for_ever(watch)
""",
    "System V memory and semaphores": """
import ctypes, time
libc = ctypes.CDLL(None, use_errno=True)
def take():
    if libc.shmget(0, 1 << 20, 0o1600) < 0 and libc.semget(0, 250, 0o1600) < 0:
        raise OSError
for_ever(take)
""",
    "keys of the kernel": """
import ctypes, time
libc = ctypes.CDLL(None, use_errno=True)
count = 0
def add():
    global count
    count += 1
    if libc.syscall(248, b"user", b"k%d" % count, b"x" * 1000, 1000, -4) < 0:
        raise OSError
for_ever(add)
""",
    "memory": "import time\nx = []\nfor_ever(lambda: x.append(bytearray(1 << 24)))\n",
    "processors": """
import os
for _ in range(6):
    os.fork()
while True:
    pass
""",
    "files": """
import os, time
os.makedirs(os.path.expanduser("~/flood"), exist_ok=True)
count = 0
def make():
    global count
    count += 1
    path = os.path.expanduser(f"~/flood/{os.getpid()}-{count}")
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
for_ever(make)
""",
    "disk": """
import os, time
def write():
    with open(os.path.expanduser("~/big"), "wb") as big:
        for _ in range(300):
            big.write(bytes(1 << 20))
for_ever(write)
""",
}


@contextmanager
def in_own_server(machine: Machine, url: str, program: str) -> Iterator[None]:
    """Run a program in the attacker's server during the block."""
    mallory = HubUser(url, ATTACKER)
    mallory.login(password_of(ATTACKER))
    mallory.start_server()
    text = f"import time\n{MANY_FILES}{FOR_EVER}{program}"
    mallory.terminal(
        f"cat > ~/attack.py <<'END'\n{text}\nEND\n(setsid python3 ~/attack.py &> /dev/null &)"
    )
    try:
        yield
    finally:
        account = f"jupyter-{ATTACKER}"
        machine.run(f"systemctl kill --signal=KILL {account}.service", check=False)
        machine.run(f"pkill -KILL -u {account}; rm -rf /home/{account}/flood", check=False)
        with contextlib.suppress(Exception):
            mallory.await_server(ready=False, timeout_s=60)


@contextmanager
def from_outside(machine: Machine, url: str) -> Iterator[None]:
    """Hold as many connections of this computer's address as it may have, less those of users."""
    with contextlib.ExitStack() as stack:
        poll, clients = select.poll(), []
        for _ in range(3000):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((machine.address(), 80))
            poll.register(client, select.POLLOUT)
            clients.append(client)
        end_s = time.monotonic() + 30
        while len(poll.poll(0)) < len(clients) and time.monotonic() < end_s:
            time.sleep(0.1)
        for client in clients:
            with contextlib.suppress(OSError):
                client.send(b"POST /hub/login HTTP/1.1\r\nHost: hub\r\nX-A: ")
        yield


def list_attacks(
    machine: Machine, url: str
) -> dict[str, Callable[[], AbstractContextManager[None]]]:
    attacks: dict[str, Callable[[], AbstractContextManager[None]]] = {
        "none": contextlib.nullcontext
    }
    for name, program in PROGRAMS.items():
        attacks[name] = lambda program=program: in_own_server(machine, url, program)
    attacks["slow connections from outside"] = lambda: from_outside(machine, url)
    return attacks


def work(user: HubUser) -> tuple[float, str]:
    """Log in with a new session and run code; return the seconds, and what failed."""
    start_s = time.monotonic()
    try:
        again = HubUser(user.url, user.name)
        again.login(password_of(user.name))
        again.start_server()  # it runs; this opens it
        kernel = again.start_kernel()
        assert again.execute("6 * 7", kernel) == "42"
        again.api("DELETE", f"/kernels/{kernel}")
    except Exception as error:
        return time.monotonic() - start_s, f"{type(error).__name__}: {error}"[:200]
    return time.monotonic() - start_s, ""


def measure(url: str, users: list[HubUser], attack: AbstractContextManager[None]) -> dict[str, Any]:
    with attack:
        # The attack takes what it can.
        time.sleep(SETTLE_S)
        with watched_health(url) as health:
            results = at_once(work, users)
    seconds = [each for each, _ in results]
    failures = sorted({problem for _, problem in results if problem})
    return {
        "succeeded": sum(not problem for _, problem in results),
        "of": len(users),
        "slowest_s": round(max(seconds), 1),
        "health": health.summary(),
        **({"failures": failures} if failures else {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--image", default="debian12")
    parser.add_argument("--machine", help="a machine with the hub that runs already")
    parser.add_argument("--attack", action="append", help="only this one; may be repeated")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with installed_machine(options.image, options.machine) as machine:
        url = f"http://{machine.address()}"
        names = [f"innocent{number:02}" for number in range(options.users)]
        add_users(machine, [*names, ATTACKER])
        users = [HubUser(url, name) for name in names]
        at_once(lambda user: user.login(password_of(user.name)), users)
        for start in range(0, len(users), STARTED_AT_ONCE):
            at_once(HubUser.start_server, users[start : start + STARTED_AT_ONCE])
        results: dict[str, Any] = {}
        for name, attack in list_attacks(machine, url).items():
            if name != "none" and options.attack and name not in options.attack:
                continue
            results[name] = result = measure(url, users, attack())
            ratio = result["slowest_s"] / results["none"]["slowest_s"]
            result["ratio"] = round(ratio, 2)
            if not options.json:
                print(
                    f"{name:32} {result['succeeded']}/{result['of']}, slowest "
                    f"{result['slowest_s']} s ({result['ratio']}x), health at most "
                    f"{result['health']['longest_ms']:.0f} ms, {result['health']['failed']} failed",
                    *result.get("failures", ()),
                    flush=True,
                )
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
