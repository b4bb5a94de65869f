"""What users notice of a reload: of the hub, and of Traefik's static configuration.

    python -m benchmarks.reload [--servers 0 1 50] [--json]

For each number of running servers, in a real machine: a request every 20 ms each to the login
page, to the hub's API (POST), to a handler of the hub that takes 500 ms, and to a user's server,
with kernels' web sockets held open, while the hub and then Traefik get another configuration.
Needs what `make test` needs, and 100 MB of memory for each server.
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
from session import HubUser, import_users  # noqa: E402
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


def users_with_servers(machine: Machine, count: int) -> list[HubUser]:
    """Add at least one user, log all in, and start `count` servers one after the other."""
    url = f"http://{machine.address()}"
    names = [f"pupil-{number}" for number in range(max(count, 1))]
    import_users(machine, names, PASSWORD)
    users = [HubUser(url, name) for name in names]
    for user in users:
        user.login(PASSWORD)
    for user in users[:count]:
        user.start_server()
    return users


def measure(machine: Machine, users: list[HubUser], servers: int, number: int) -> dict[str, Any]:
    user = users[0]
    response = user.hub_api("POST", f"/users/{user.name}/tokens", json={"note": "probe"})
    probes = probes_of(user, response.json()["token"])
    probes.append(Probe("slow handler", lambda s: s.get(f"{user.url}/hub/slow", timeout=90)))
    if not servers:
        probes = [probe for probe in probes if probe.name != "the user's server"]
    results: dict[str, Any] = {}
    for what, command in CHANGES.items():
        for probe in probes:
            probe.sent, probe.failures, probe.longest_s = 0, [], 0.0
        start_s = time.monotonic()
        with ExitStack() as stack:
            kernels = [
                stack.enter_context(HeldKernel(kernel_user))
                for kernel_user in users[: min(servers, SOCKETS)]
            ]
            stack.enter_context(traffic(probes))
            machine.run(command.format(value=7000 + number), timeout_s=300)
        results[what] = {
            "seconds": round(time.monotonic() - start_s, 1),
            "sent": sum(probe.sent for probe in probes),
            "failed": sum(len(probe.failures) for probe in probes),
            "failures": [text for probe in probes for text in probe.failures][:3],
            "longest_s": {probe.name: round(probe.longest_s, 2) for probe in probes},
            "web_sockets": len(kernels),
            "dropped": sum(bool(kernel.failures) for kernel in kernels),
        }
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", type=int, nargs="+", default=[0, 1, 50])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    image, channel = installed_image(DEFAULT_RELEASE)
    results: dict[int, Any] = {}
    for number, servers in enumerate(options.servers, 1):
        with Machine.boot(image, options=channel_mount(channel)) as machine:
            machine.run("cat > /opt/tljh/config/jupyterhub_config.d/slow.py", input=SLOW)
            machine.run("tljh-config reload", timeout_s=300)
            users = users_with_servers(machine, servers)
            results[servers] = measure(machine, users, servers, number)
        if not options.json:
            for what, result in results[servers].items():
                print(
                    f"{servers:3} servers, {what:5}: "
                    f"{result['failed']} of {result['sent']} failed, "
                    f"{result['dropped']} of {result['web_sockets']} web sockets dropped, "
                    f"longest {result['longest_s']}",
                    *result["failures"],
                    flush=True,
                )
    if options.json:
        print(json.dumps(results, indent=2))
    all_results = [result for changes in results.values() for result in changes.values()]
    return int(any(result["failed"] or result["dropped"] for result in all_results))


if __name__ == "__main__":
    sys.exit(main())
