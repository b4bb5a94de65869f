"""How long `tljh-config set`, `show` and `get` take, and whether they are within their limits.

    python3 benchmarks/edit.py [--runs N] [--command /usr/bin/tljh-config]

Works on a temporary configuration. Computers differ and are busy, so the limits are ratios of
processor time: the best run of a command against the best import of pydantic, which every check
of config.yaml needs, in runs that take turns. Exits with 1 if a command is above its limit.
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
from dataclasses import dataclass, field
from pathlib import Path

IMPORT = "import of pydantic"
# Measured when the limits were set: 1.62 and 0.62. The margin is for other work on the machine.
LIMITS = {"set": 1.9, "show": 0.75}


@dataclass
class Times:
    """Seconds of each run: by the clock, and of processor time."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def run(self, argv: list[str], environ: dict[str, str]) -> None:
        start_s = time.perf_counter()
        process = subprocess.Popen(argv, env=environ, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, argv)
        self.wall.append(time.perf_counter() - start_s)
        self.processor.append(usage.ru_utime + usage.ru_stime)

    def best_s(self) -> float:
        """Return the least processor time, without the first run, which fills the caches."""
        return min(self.processor[1:])

    def median_s(self) -> float:
        return statistics.median(self.wall[1:])


def measure(command: Path, runs: int) -> dict[str, Times]:
    with tempfile.TemporaryDirectory() as prefix:
        (Path(prefix) / "config").mkdir()
        environ = {**os.environ, "TLJH_INSTALL_PREFIX": prefix}
        # An installed hub's environment is compiled; the first run compiles this one.
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        python = str(command.resolve().with_name("python"))
        cases = {
            "start of Python": [python, "-c", "pass"],
            IMPORT: [python, "-c", "from pydantic import BaseModel"],
            "set": [str(command), "set", "http.port"],
            "show": [str(command), "show"],
            "get": [str(command), "get", "http.port"],
            "check": [str(command), "check"],
        }
        times = {name: Times() for name in cases}
        for number in range(runs + 1):
            for name, argv in cases.items():
                # Another port each time, so that every `set` writes the file.
                value = [str(8100 + number)] if name == "set" else []
                times[name].run([*argv, *value], environ)
        return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument(
        "--command", type=Path, default=Path(sys.executable).with_name("tljh-config")
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    times = measure(options.command, options.runs)
    base_s = times[IMPORT].best_s()
    ratios = {name: case.best_s() / base_s for name, case in times.items()}
    if options.json:
        print(json.dumps({name: vars(case) for name, case in times.items()}, indent=2))
    else:
        print(f"{'':20} {'wall':>8} {'processor':>9} {'ratio':>6} {'limit':>6}")
        for name, case in times.items():
            limit = LIMITS.get(name, "")
            columns = f"{case.median_s():6.3f} s {case.best_s():7.3f} s {ratios[name]:6.2f}"
            print(f"{name:20} {columns} {limit:>6}")
    slow = [name for name, limit in LIMITS.items() if ratios[name] > limit]
    if slow:
        sys.exit(f"slower than the limit: {', '.join(slow)}")


if __name__ == "__main__":
    main()
