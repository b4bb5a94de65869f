"""Many users log in and start their servers at once, like a class: how many succeed, and how fast.

    python3 benchmarks/burst.py [--users 50] [--machine NAME] [--json]

Three bursts in one machine:
- new: no user has an account yet; all log in with a password and start a server;
- back: the same users, with accounts and sessions, start a server;
- bare: as many `jupyterhub-singleuser` processes, with the same accounts, started at once by a
  script: the cost of the starts without a hub.
Prints the number of servers that were ready, the seconds, the longest response of /hub/health, and
`back` as a multiple of `bare`, in seconds and in processor time. Run as root, with nothing else on
the computer.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from crowd import (
    HubUser,
    Machine,
    Start,
    add_users,
    at_once,
    installed_machine,
    password_of,
    percentile,
    processor_time,
    start_and_wait,
    watched_health,
)

STOPPED_AT_ONCE = 8
# Runs in the machine: starts servers with the variables that the hub gave them, and waits until
# each one answers.
BARE = r"""
import glob, os, pwd, shlex, socket, subprocess, sys, time, urllib.error, urllib.request
servers = []
for path in sorted(glob.glob("/root/bare/*.env")):
    env = {}
    for line in open(path):
        name, _, value = line.strip().partition("=")
        env[name] = "".join(shlex.split(value))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    prefix = env["JUPYTERHUB_SERVICE_PREFIX"]
    env["JUPYTERHUB_SERVICE_URL"] = f"http://127.0.0.1:{port}{prefix}"
    servers.append((pwd.getpwnam("jupyter-" + env["JUPYTERHUB_USER"]), env, port, prefix))
start_s = time.monotonic()
running = [
    subprocess.Popen(
        [sys.argv[1] + "/bin/jupyterhub-singleuser"], env=env, cwd=account.pw_dir,
        user=account.pw_uid, group=account.pw_gid, extra_groups=[],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    for account, env, _, _ in servers
]
waiting = {(port, prefix) for _, _, port, prefix in servers}
while waiting and time.monotonic() - start_s < 600:
    for port, prefix in list(waiting):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{prefix}api", timeout=5).close()
        except urllib.error.HTTPError:
            pass
        except OSError:
            continue
        waiting.discard((port, prefix))
    time.sleep(0.2)
print(time.monotonic() - start_s, len(waiting))
for process in running:
    process.kill()
for process in running:
    process.wait()
"""


def summary(starts: list[Start], seconds: float) -> dict[str, Any]:
    ready = [start.seconds for start in starts if start.is_ready]
    results: dict[str, Any] = {
        "ready": len(ready),
        "of": len(starts),
        "seconds": round(seconds, 1),
        "first_ready_s": round(min(ready, default=0), 1),
        "median_ready_s": round(percentile(ready, 50), 1) if ready else None,
    }
    failures = sorted({start.message for start in starts if not start.is_ready})
    return results | ({"failures": failures} if failures else {})


def burst(machine: Machine, url: str, users: list[HubUser], *, log_in: bool) -> dict[str, Any]:
    def log_in_and_start(user: HubUser) -> Start:
        start_s = time.monotonic()
        try:
            if log_in:
                user.login(password_of(user.name))
        except Exception as error:
            return Start(user.name, time.monotonic() - start_s, False, f"login: {error}")
        start = start_and_wait(user)
        start.seconds = time.monotonic() - start_s
        return start

    processor: dict[str, Any] = {}
    with watched_health(url) as health, processor_time(machine, processor):
        start_s = time.monotonic()
        starts = at_once(log_in_and_start, users)
        seconds = time.monotonic() - start_s
    return summary(starts, seconds) | processor | {"health": health.summary()}


def stop_all(users: list[HubUser]) -> None:
    def stop(user: HubUser) -> None:
        user.hub_api("DELETE", f"/users/{user.quoted}/server", timeout=300)
        user.await_server(ready=False, timeout_s=300)

    for start in range(0, len(users), STOPPED_AT_ONCE):
        at_once(stop, users[start : start + STOPPED_AT_ONCE])


def save_environments(machine: Machine) -> None:
    """Copy the variables of all running servers, for `bare`."""
    machine.run(
        "rm -rf /root/bare && mkdir -p /root/bare && "
        "cp /run/jupyter-*.service/*.env /root/bare/ && "
        "cat > /root/bare/run.py",
        input=BARE,
    )


def bare(machine: Machine) -> dict[str, Any]:
    python = "/opt/tljh/hub/bin/python"
    processor: dict[str, Any] = {}
    with processor_time(machine, processor):
        done = machine.run(f"{python} /root/bare/run.py /opt/tljh/user", timeout_s=900)
    seconds, missing = done.stdout.split()
    return {"seconds": round(float(seconds), 1), "missing": int(missing)} | processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--image", default="debian12")
    parser.add_argument("--machine", help="a running machine with the hub")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with installed_machine(options.image, options.machine) as machine:
        # New names each time: a machine that is used again has the earlier users.
        names = [f"p{int(time.time()) % 100_000}x{number}" for number in range(options.users)]
        results: dict[str, Any] = {"users": options.users}
        results["import_s"] = round(add_users(machine, names), 1)
        url = f"http://{machine.address()}"
        users = [HubUser(url, name) for name in names]
        results["new"] = burst(machine, url, users, log_in=True)
        stop_all(users)
        results["back"] = burst(machine, url, users, log_in=False)
        save_environments(machine)
        stop_all(users)
        results["bare"] = bare(machine)
        for what in ("seconds", "processor_s"):
            results[f"ratio of {what}"] = round(results["back"][what] / results["bare"][what], 2)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, value in results.items():
        print(f"{name:9} {value}")


if __name__ == "__main__":
    main()
