"""A class comes in: how many of so many users who log in and start at once get their server.

    python3 benchmarks/burst.py [--users 50] [--machine NAME] [--json]

Three bursts in one machine:
- new: nobody has an account yet, all log in with a password and start a server;
- back: the same people, with their accounts and sessions, start a server;
- bare: as many `jupyterhub-singleuser` processes as the same accounts, started at once by nobody
  but a shell: what the starts themselves cost.
Prints how many were ready, the seconds, the longest answer of /hub/health, and `back` as a
multiple of `bare`, in seconds and in what the machine computed. Run as root, with nothing else on
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
    add_people,
    at_once,
    installed_machine,
    password_of,
    percentile,
    processor_time,
    start_and_wait,
    watched_health,
)

STOPPED_AT_ONCE = 8
# Runs in the machine: starts servers from the environments that the hub gave them, and waits
# until each one answers.
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
began = time.monotonic()
running = [
    subprocess.Popen(
        [sys.argv[1] + "/bin/jupyterhub-singleuser"], env=env, cwd=account.pw_dir,
        user=account.pw_uid, group=account.pw_gid, extra_groups=[],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    for account, env, _, _ in servers
]
waiting = {(port, prefix) for _, _, port, prefix in servers}
while waiting and time.monotonic() - began < 600:
    for port, prefix in list(waiting):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{prefix}api", timeout=5).close()
        except urllib.error.HTTPError:
            pass
        except OSError:
            continue
        waiting.discard((port, prefix))
    time.sleep(0.2)
print(time.monotonic() - began, len(waiting))
for process in running:
    process.kill()
for process in running:
    process.wait()
"""


def summary(starts: list[Start], seconds: float) -> dict[str, Any]:
    ready = [start.seconds for start in starts if start.is_ready]
    found: dict[str, Any] = {
        "ready": len(ready),
        "of": len(starts),
        "seconds": round(seconds, 1),
        "first_ready_s": round(min(ready, default=0), 1),
        "median_ready_s": round(percentile(ready, 50), 1) if ready else None,
    }
    failures = sorted({start.message for start in starts if not start.is_ready})
    return found | ({"failures": failures} if failures else {})


def burst(machine: Machine, url: str, users: list[HubUser], *, log_in: bool) -> dict[str, Any]:
    def come(user: HubUser) -> Start:
        began_s = time.monotonic()
        try:
            if log_in:
                user.login(password_of(user.name))
        except Exception as error:
            return Start(user.name, time.monotonic() - began_s, False, f"login: {error}")
        start = start_and_wait(user)
        start.seconds = time.monotonic() - began_s
        return start

    spent: dict[str, Any] = {}
    with watched_health(url) as health, processor_time(machine, spent):
        began_s = time.monotonic()
        starts = at_once(come, users)
        seconds = time.monotonic() - began_s
    return summary(starts, seconds) | spent | {"health": health.summary()}


def stop_all(users: list[HubUser]) -> None:
    def stop(user: HubUser) -> None:
        user.hub_api("DELETE", f"/users/{user.quoted}/server", timeout=300)
        user.await_server(ready=False, timeout_s=300)

    for start in range(0, len(users), STOPPED_AT_ONCE):
        at_once(stop, users[start : start + STOPPED_AT_ONCE])


def keep_environments(machine: Machine) -> None:
    machine.run(
        "rm -rf /root/bare && mkdir -p /root/bare && "
        "cp /run/jupyter-*.service/*.env /root/bare/ && "
        "cat > /root/bare/run.py",
        input=BARE,
    )


def bare(machine: Machine) -> dict[str, Any]:
    python = "/opt/tljh/hub/bin/python"
    spent: dict[str, Any] = {}
    with processor_time(machine, spent):
        done = machine.run(f"{python} /root/bare/run.py /opt/tljh/user", timeout_s=900)
    seconds, missing = done.stdout.split()
    return {"seconds": round(float(seconds), 1), "missing": int(missing)} | spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--image", default="debian12")
    parser.add_argument("--machine", help="a machine with the hub that is up already")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with installed_machine(options.image, options.machine) as machine:
        # New names each time: a machine that stays up has had others.
        names = [f"p{int(time.time()) % 100_000}x{number}" for number in range(options.users)]
        found: dict[str, Any] = {"users": options.users}
        found["import_s"] = round(add_people(machine, names), 1)
        url = f"http://{machine.address()}"
        users = [HubUser(url, name) for name in names]
        found["new"] = burst(machine, url, users, log_in=True)
        stop_all(users)
        found["back"] = burst(machine, url, users, log_in=False)
        keep_environments(machine)
        stop_all(users)
        found["bare"] = bare(machine)
        for what in ("seconds", "processor_s"):
            found[f"ratio of {what}"] = round(found["back"][what] / found["bare"][what], 2)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:9} {value}")


if __name__ == "__main__":
    main()
