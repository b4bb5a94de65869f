"""How long an export to Kubernetes takes for a hub with many users, and what is lost in it.

    python -m benchmarks.export [--users 1000] [--json]

Makes a database of this release's JupyterHub with users, groups, roles, tokens and servers, and a
home for each user; exports the hub twice; checks the values by the schema of the chart; and has
JupyterHub 5.5 count what differs. The user environment is a recorded one: its export takes as long
for any number of users. Run it as root.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.export.chart import find_schema_errors, merge_over_defaults, read_yaml, run_hub
from tests.export.installations import ENVIRONMENT, HostOfTests, make_installed_hub
from tests.export.test_export import read_hub_here
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.operations import kubernetes_export as operations
from tljh.operations.disk_usage import measure_directories

SETTINGS = """
users: {{admin: [u0000], allowed: {names}}}
limits: {{memory: 1G, groups: {{staff: {{memory: 4G}}}}}}
roles: {{grader: {{scopes: ["list:users"], users: {graders}}}}}
services: {{board: {{command: [python, /srv/board.py], port: 9100}}}}
"""


def make_homes(directory: Path, names: list[str]) -> list[str]:
    for name in names:
        home = directory / name
        home.mkdir(parents=True)
        for number in range(20):
            (home / f"notebook-{number}.ipynb").write_bytes(b"x" * 5000)
    return [str(directory / name) for name in names]


def count_differences(paths: Paths, out: Path, pod: Path, tokens: list[str]) -> dict[str, int]:
    """Return what is another in the chart's hub than in this one, by kind."""
    plain, secret = (
        read_yaml((out / f"{name}.yaml").read_text()) for name in ("values", "secrets")
    )
    merged = merge_over_defaults(plain, secret)
    pod.mkdir()
    (pod / "jupyterhub.sqlite").write_bytes((out / "hub/jupyterhub.sqlite").read_bytes())
    here = read_hub_here(paths.hub_database, tokens)
    there = run_hub(merged, pod, tokens=tokens)
    pairs = {
        "users and admins": (here["users"], there["users"]),
        "groups": (here["groups"], {name: there["groups"].get(name) for name in here["groups"]}),
        "tokens": (here["tokens"], there["tokens"]),
    }
    differences = {
        kind: sum(old.get(key) != new.get(key) for key in {*old, *new})
        for kind, (old, new) in pairs.items()
    }
    differences["roles"] = len(set(here["grader"]) ^ set(there["roles"]["grader"]["users"]))
    differences["schema errors"] = len(find_schema_errors(merged))
    return differences


def main() -> None:
    """Measure, and print seconds and differences."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = [f"u{number:04}" for number in range(options.users)]
    with tempfile.TemporaryDirectory(prefix="tljh-benchmark-") as directory:
        base = Path(directory)
        Paths.cache = base / "cache"
        text = SETTINGS.format(names=json.dumps(names), graders=json.dumps(names[::10]))
        paths = make_installed_hub(base, text, names)
        homes = make_homes(base / "homes", names)
        operations.read_environment = lambda host, paths: replace(ENVIRONMENT)
        out, seconds = base / "out", {}
        for run in ("export", "second export"):
            start_s = time.monotonic()
            host = HostOfTests()
            planned = operations.plan_export(host, paths, out, None, SilentProgress())
            operations.write_export(host, planned)
            seconds[run] = round(time.monotonic() - start_s, 1)
        start_s = time.monotonic()
        assert len(measure_directories(HostOfTests(), homes)) == options.users
        seconds["sizes of homes"] = round(time.monotonic() - start_s, 1)
        tokens = [f"{number:04x}".ljust(32, "0") for number in range(options.users)]
        result = {
            "users": options.users,
            "seconds": seconds,
            "is unchanged by the second": planned.is_empty,
            "differences": count_differences(paths, out, base / "pod", tokens),
        }
    if options.json:
        print(json.dumps(result))
    else:
        for key, value in result.items():
            print(f"{key}: {value}")


if __name__ == "__main__":
    main()
