"""The cost of idle servers: the hub's response times and the memory at 25, 50 and 100 servers.

    python3 benchmarks/idle.py [--servers 25,50,100] [--machine NAME] [--json]

At each number: the 95th percentile of `/hub/api/users` (for an admin) and of `/hub/home`, with 100
requests each through the proxy, and the memory (PSS) of the hub, of Traefik, and of each server.
Run as root, with nothing else on the computer.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from crowd import (
    HubUser,
    Machine,
    add_users,
    at_once,
    installed_machine,
    password_of,
    percentile,
    start_and_wait,
)

REQUESTS = 100
# Servers compute for some seconds after they are ready. A fixed time, so that all runs compare.
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
    """Return the PSS in MB, which counts shared pages in parts."""
    output = machine.run(["python3", "-"], input=MEMORY, timeout_s=300).stdout
    hub, proxy, servers, count = (int(word) for word in output.split())
    return {
        "hub_mb": hub // 1024,
        "proxy_mb": proxy // 1024,
        "server_mb": round(servers / 1024 / max(count, 1), 1),
        "servers": count,
    }


def response_times(user: HubUser, path: str) -> dict[str, float]:
    """Request a page again and again, one request after another."""
    seconds = []
    for _ in range(REQUESTS):
        start_s = time.monotonic()
        response = user.http.get(f"{user.url}{path}", timeout=60)
        seconds.append(time.monotonic() - start_s)
        assert response.status_code == 200, f"{path}: {response.status_code}"
    return {
        "median_ms": round(percentile(seconds, 50) * 1000, 1),
        "p95_ms": round(percentile(seconds, 95) * 1000, 1),
    }


def measure(machine: Machine, steps: list[int]) -> list[dict[str, Any]]:
    names = [f"i{int(time.time()) % 100_000}x{number}" for number in range(max(steps))]
    add_users(machine, names)
    machine.run(f"tljh user add --admin {names[0]}", timeout_s=180)
    url = f"http://{machine.address()}"
    users = [HubUser(url, name) for name in names]
    results: list[dict[str, Any]] = []
    running = 0
    for step in steps:
        new_users = users[running:step]
        for user in new_users:
            user.login(password_of(user.name))
        failed = [
            start.message for start in at_once(start_and_wait, new_users) if not start.is_ready
        ]
        assert not failed, failed[:3]
        running = step
        time.sleep(SETTLE_S)
        results.append(
            {
                "idle": step,
                "/hub/api/users": response_times(users[0], "/hub/api/users"),
                "/hub/home": response_times(users[0], "/hub/home"),
                **memory(machine),
            }
        )
        print(results[-1], flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", default="25,50,100")
    parser.add_argument("--image", default="debian12")
    parser.add_argument("--machine", help="a running machine with the hub")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with installed_machine(options.image, options.machine) as machine:
        results = measure(machine, [int(word) for word in options.servers.split(",")])
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
