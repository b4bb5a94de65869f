"""What servers cost that nobody works in: the hub's answers and the memory at 25, 50 and 100.

    python3 benchmarks/idle.py [--servers 25,50,100] [--machine NAME] [--json]

At each number: the 95th percentile of `/hub/api/users` (for an administrator) and of `/hub/home`,
asked for through the proxy 100 times each, and the memory (PSS) of the hub, of Traefik, and of
each server. Run as root, with nothing else on the computer.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from crowd import (
    HubUser,
    Machine,
    add_people,
    at_once,
    installed_machine,
    password_of,
    percentile,
    start_and_wait,
)

ASKED = 100
# What has just started still settles down.
SETTLE_S = 15
MEMORY = r"""
import glob, re, subprocess
def pss(pid):
    try:
        return int(re.search(r"^Pss:\s+(\d+)", open(f"/proc/{pid}/smaps_rollup").read(), re.M)[1])
    except (OSError, TypeError):
        return 0
def of(unit):
    group = subprocess.check_output(["systemctl", "show", "-P", "ControlGroup", unit], text=True)
    pids = set()
    for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/memory"):
        for path in glob.glob(f"{root}{group.strip()}/**/cgroup.procs", recursive=True):
            pids |= set(open(path).read().split())
    return sum(pss(pid) for pid in pids)
listed = subprocess.check_output(
    ["systemctl", "list-units", "--plain", "--no-legend", "--state=active", "jupyter-*.service"],
    text=True,
)
servers = [of(line.split()[0]) for line in listed.splitlines()]
print(of("jupyterhub"), of("traefik"), sum(servers), len(servers))
"""


def memory(machine: Machine) -> dict[str, Any]:
    """PSS in MB: what each would give back if it alone ended, shared pages in parts."""
    shown = machine.run(["python3", "-"], input=MEMORY, timeout_s=300).stdout
    hub, proxy, servers, count = (int(word) for word in shown.split())
    return {
        "hub_mb": hub // 1024,
        "proxy_mb": proxy // 1024,
        "server_mb": round(servers / 1024 / max(count, 1), 1),
        "servers": count,
    }


def answers(user: HubUser, path: str) -> dict[str, float]:
    """How long a page takes, one request after another."""
    seconds = []
    for _ in range(ASKED):
        began_s = time.monotonic()
        answer = user.http.get(f"{user.url}{path}", timeout=60)
        seconds.append(time.monotonic() - began_s)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
    return {
        "median_ms": round(percentile(seconds, 50) * 1000, 1),
        "p95_ms": round(percentile(seconds, 95) * 1000, 1),
    }


def measure(machine: Machine, steps: list[int]) -> list[dict[str, Any]]:
    names = [f"i{int(time.time()) % 100_000}x{number}" for number in range(max(steps))]
    add_people(machine, names)
    machine.run(f"tljh user add --admin {names[0]}", timeout_s=180)
    url = f"http://{machine.address()}"
    users = [HubUser(url, name) for name in names]
    found, up = [], 0
    for step in steps:
        some = users[up:step]
        for user in some:
            user.login(password_of(user.name))
        failed = [start.message for start in at_once(start_and_wait, some) if not start.is_ready]
        assert not failed, failed[:3]
        up = step
        time.sleep(SETTLE_S)
        found.append(
            {
                "idle": step,
                "/hub/api/users": answers(users[0], "/hub/api/users"),
                "/hub/home": answers(users[0], "/hub/home"),
                **memory(machine),
            }
        )
        print(found[-1], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", default="25,50,100")
    parser.add_argument("--image", default="debian12")
    parser.add_argument("--machine", help="a machine with the hub that is up already")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with installed_machine(options.image, options.machine) as machine:
        found = measure(machine, [int(word) for word in options.servers.split(",")])
    if options.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
