"""How long an install takes, where the time goes, and what the hub needs when idle.

    python3 benchmarks/install.py [--image debian12|debian13]

Boots a fresh machine with warm package caches, runs the real bootstrap in it twice, and prints
steps with their seconds, both totals, and the memory (PSS) of each process.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "integration-tests"))

from machine import Machine  # noqa: E402
from machine.install import CHANNEL, channel_mount, local_channel  # noqa: E402

PSS = """
for pid in $(pgrep -f 'tljh.hub.app|tljh.proxy.supervisor|bin/traefik|jupyterhub_idle_culler'); do
    kilobytes=$(awk '/^Pss:/ {print $2}' /proc/$pid/smaps_rollup)
    printf '%5d MB  %s\\n' $((kilobytes / 1024)) "$(tr '\\0' ' ' < /proc/$pid/cmdline | cut -c1-90)"
done
"""


def bootstrap(machine: Machine) -> tuple[float, str]:
    began_s = time.monotonic()
    done = machine.run(
        f"python3 /srv/tljh/installer/bootstrap.py --admin admin --conda-channel file://{CHANNEL}",
        timeout_s=600,
    )
    return time.monotonic() - began_s, done.stderr + done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", default="debian12")
    options = parser.parse_args()
    for attempt in ("to warm the caches", "measured"):
        mount = channel_mount(local_channel(options.image))
        with Machine.boot(options.image, name="tljh-benchmark", options=mount) as machine:
            machine.copy_checkout(ROOT)
            first_s, steps = bootstrap(machine)
            if attempt != "measured":
                continue
            second_s, _ = bootstrap(machine)
            print(steps)
            print(f"fresh install  {first_s:6.1f} s")
            print(f"second run     {second_s:6.1f} s")
            print(machine.run(PSS).stdout)


if __name__ == "__main__":
    main()
