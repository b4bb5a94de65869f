"""How much a reload is felt: of the hub, and of Traefik's static configuration.

    python -m benchmarks.reload [--servers 0 1 50] [--json]

For each number of running servers, in a real machine: a request every 20 ms each to the login
page, to the hub's API (POST), to a handler of the hub that takes 500 ms, and to a user's server,
with kernels' web sockets held open, while the hub and then Traefik get another configuration.
Needs what `make test` needs; the number of servers takes 100 MB of memory each.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "integration-tests"))

from machine import Machine  # noqa: E402
from machine.image import DEFAULT_RELEASE  # noqa: E402
from machine.install import channel_mount, installed_image  # noqa: E402
from session import HubUser  # noqa: E402
from traffic import HeldKernel, Probe, probes_of, traffic  # noqa: E402

PASSWORD = "correct-horse-7"
SOCKETS = 10
SLOW = """
import asyncio
from jupyterhub.handlers import BaseHandler

class Slow(BaseHandler):
    async def get(self):
        await asyncio.sleep(0.5)
        self.write("done")

c.JupyterHub.extra_handlers = [("slow", Slow)]
"""
CHANGES = {
    "hub": "tljh-config set services.cull.timeout {value} && tljh-config reload",
    "proxy": "printf '[entryPoints.http.transport.respondingTimeouts]\\nidleTimeout = \"{value}s\"'"
    " > /opt/tljh/config/traefik_config.d/idle.toml && tljh-config reload",
}


def people_at_work(machine: Machine, count: int) -> list[HubUser]:
    """Log in and start the servers of `count` people, some at a time."""
    url = f"http://{machine.address()}"
    names = [f"pupil-{number}" for number in range(max(count, 1))]
    table = "name,password\n" + "".join(f"{name},{PASSWORD}\n" for name in names)
    machine.run("tljh user import -", input=table, timeout_s=600)
    people = [HubUser(url, name) for name in names]
    for person in people:
        person.login(PASSWORD)
    for person in people[:count]:
        person.start_server()
    return people


def measure(machine: Machine, people: list[HubUser], servers: int, number: int) -> dict[str, Any]:
    user = people[0]
    answer = user.hub_api("POST", f"/users/{user.name}/tokens", json={"note": "probe"})
    probes = probes_of(user, answer.json()["token"])
    probes.append(Probe("slow handler", lambda s: s.get(f"{user.url}/hub/slow", timeout=90)))
    if not servers:
        probes = [probe for probe in probes if probe.name != "the user's server"]
    results: dict[str, Any] = {}
    for what, command in CHANGES.items():
        for probe in probes:
            probe.sent, probe.failures, probe.longest_s = 0, [], 0.0
        began_s = time.monotonic()
        with ExitStack() as stack:
            held = [
                stack.enter_context(HeldKernel(person))
                for person in people[: min(servers, SOCKETS)]
            ]
            stack.enter_context(traffic(probes))
            machine.run(command.format(value=7000 + number), timeout_s=300)
        results[what] = {
            "seconds": round(time.monotonic() - began_s, 1),
            "sent": sum(probe.sent for probe in probes),
            "failed": sum(len(probe.failures) for probe in probes),
            "failures": [text for probe in probes for text in probe.failures][:3],
            "longest_s": {probe.name: round(probe.longest_s, 2) for probe in probes},
            "web_sockets": len(held),
            "dropped": sum(bool(kernel.failures) for kernel in held),
        }
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", type=int, nargs="+", default=[0, 1, 50])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    image, channel = installed_image(DEFAULT_RELEASE)
    found: dict[int, Any] = {}
    for number, servers in enumerate(options.servers, 1):
        with Machine.boot(image, options=channel_mount(channel)) as machine:
            machine.run("cat > /opt/tljh/config/jupyterhub_config.d/slow.py", input=SLOW)
            machine.run("tljh-config reload", timeout_s=300)
            people = people_at_work(machine, servers)
            found[servers] = measure(machine, people, servers, number)
        if not options.json:
            for what, one in found[servers].items():
                print(
                    f"{servers:3} servers, {what:5}: {one['failed']} of {one['sent']} failed, "
                    f"{one['dropped']} of {one['web_sockets']} web sockets dropped, "
                    f"longest {one['longest_s']}",
                    *one["failures"],
                    flush=True,
                )
    if options.json:
        print(json.dumps(found, indent=2))
    return int(any(one["failed"] or one["dropped"] for by in found.values() for one in by.values()))


if __name__ == "__main__":
    sys.exit(main())
