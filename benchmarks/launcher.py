"""Many visitors of the example launcher at once: how much longer than plain starts by the API.

    python3 benchmarks/launcher.py [--visitors 20] [--machine NAME] [--json]

In one machine, with new accounts each time:
- plain: users that were made by the API before; their servers are started at once by the API;
- launcher: as many visitors send the form of examples/launcher/launcher.py at once, and each opens
  JupyterLab by the address that the page gets.
Prints the servers that were ready, the seconds, the seconds until nothing was left of the visitors,
and `launcher` as a multiple of `plain`. Run as root, with nothing else on the computer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import requests
from crowd import HubUser, Machine, at_once, installed_machine, percentile

sys.path.insert(0, str(Path(__file__).parents[1] / "integration-tests"))
from test_launcher import begin, follow, serve_launcher, what_is_left
from waiting import wait_until

TIMEOUT_S = 600


class Api:
    """The hub's API, with a token that may do everything."""

    def __init__(self, machine: Machine) -> None:
        self.url = f"http://{machine.address()}/hub/api"
        token = machine.run("cat /opt/tljh/state/hub-api.secret").stdout.strip()
        self.headers = {"Authorization": f"token {token}"}

    def call(self, method: str, path: str) -> requests.Response:
        url = f"{self.url}/{path}"
        return requests.request(method, url, headers=self.headers, timeout=TIMEOUT_S)

    def start(self, user: HubUser) -> float:
        """Start a server and return the seconds until it was ready."""
        start_s = time.monotonic()
        self.call("POST", f"users/{user.name}/server").raise_for_status()

        def is_ready() -> bool:
            servers = self.call("GET", f"users/{user.name}").json()["servers"]
            return bool(servers.get("", {}).get("ready"))

        wait_until(is_ready, f"the server of {user.name}", TIMEOUT_S)
        return time.monotonic() - start_s


def measure_plain(machine: Machine, names: list[str]) -> dict[str, Any]:
    api = Api(machine)
    users = [HubUser("", name) for name in names]
    for name in names:
        api.call("POST", f"users/{name}").raise_for_status()
    start_s = time.monotonic()
    times = at_once(api.start, users)
    results = summarize(times, time.monotonic() - start_s)
    for name in names:
        api.call("DELETE", f"users/{name}").raise_for_status()
    return results


def measure_launcher(machine: Machine, visitors: int) -> dict[str, Any]:
    def visit(_: HubUser) -> float:
        start_s = time.monotonic()
        follow(machine, begin(machine))
        return time.monotonic() - start_s

    start_s = time.monotonic()
    times = at_once(visit, [HubUser("", str(number)) for number in range(visitors)])
    results = summarize(times, time.monotonic() - start_s)
    start_s = time.monotonic()
    machine.run("systemctl stop 'jupyter-guest-*'", timeout_s=TIMEOUT_S)
    wait_until(lambda: not what_is_left(machine), "nothing of the visitors", TIMEOUT_S)
    return results | {"removed_s": round(time.monotonic() - start_s, 1)}


def summarize(times: list[float], seconds: float) -> dict[str, Any]:
    median = round(percentile(times, 50), 1)
    return {"ready": len(times), "seconds": round(seconds, 1), "median_ready_s": median}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--image", default="debian12")
    parser.add_argument("--machine", help="a running machine with the hub")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with installed_machine(options.image, options.machine) as machine:
        serve_launcher(machine)
        names = [f"p{int(time.time()) % 100_000}x{number}" for number in range(options.visitors)]
        results: dict[str, Any] = {"visitors": options.visitors}
        results["plain"] = measure_plain(machine, names)
        results["launcher"] = measure_launcher(machine, options.visitors)
        ratio = results["launcher"]["seconds"] / results["plain"]["seconds"]
        results["ratio of seconds"] = round(ratio, 2)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, value in results.items():
        print(f"{name:9} {value}")


if __name__ == "__main__":
    main()
