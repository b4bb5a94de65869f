"""How long `tljh-config set`, `show` and `get` take.

    python3 benchmarks/edit.py [--runs N] [--command /usr/bin/tljh-config]

Works on a temporary configuration. Prints seconds and, because computers differ and are busy,
multiples of a start of that Python, which is measured in between.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT_S = 0.25


def seconds(argv: list[str], environ: dict[str, str]) -> float:
    start_s = time.perf_counter()
    subprocess.run(argv, env=environ, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start_s


def measure(command: Path, runs: int) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as prefix:
        (Path(prefix) / "config").mkdir()
        environ = {**os.environ, "TLJH_INSTALL_PREFIX": prefix}
        # An installed hub's environment is compiled; the first run compiles this one.
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        python = str(command.resolve().with_name("python"))
        cases = {
            "start of Python": [python, "-c", "pass"],
            "import of pydantic": [python, "-c", "from pydantic import BaseModel"],
            "set": [str(command), "set", "http.port"],
            "show": [str(command), "show"],
            "get": [str(command), "get", "http.port"],
            "check": [str(command), "check"],
        }
        times: dict[str, list[float]] = {name: [] for name in cases}
        for number in range(runs + 1):
            for name, argv in cases.items():
                # Another port each time, so that every `set` writes the file.
                value = [str(8100 + number)] if name == "set" else []
                times[name].append(seconds([*argv, *value], environ))
        return {
            # Without the first run, which fills the caches.
            name: {"best": min(all_s[1:]), "median": statistics.median(all_s[1:])}
            for name, all_s in times.items()
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument(
        "--command", type=Path, default=Path(sys.executable).with_name("tljh-config")
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = measure(options.command, options.runs)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    base = results["start of Python"]["median"]
    print(f"{'':20} {'best':>8} {'median':>8}   times a start of Python (limit {LIMIT_S} s)")
    for name, times in results.items():
        ratio = times["median"] / base
        print(f"{name:20} {times['best']:6.3f} s {times['median']:6.3f} s   {ratio:5.1f}")


if __name__ == "__main__":
    main()
