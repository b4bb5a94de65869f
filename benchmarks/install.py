"""How long an installation takes, step by step, and the memory of an idle hub.

    python3 benchmarks/install.py [--image debian12|debian13]

Boots a fresh machine with warm package caches, runs the real bootstrap in it twice, and prints the
seconds of the boot, of each step and in total, and the memory (PSS) of each process. With each
total it prints the bootstrap's processor time and that of all other processes meanwhile: on a busy
computer only the former means anything.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "integration-tests"))

from machine import Machine  # noqa: E402
from machine.install import CHANNEL, channel_mount, local_channel  # noqa: E402

PSS = """
processes='[t]ljh.(hub.process.app|proxy.supervisor)|bin/[t]raefik|[j]upyterhub_idle'
for pid in $(pgrep -f "$processes"); do
    kilobytes=$(awk '/^Pss:/ {print $2}' /proc/$pid/smaps_rollup)
    printf '%5d MB  %s\\n' $((kilobytes / 1024)) "$(tr '\\0' ' ' < /proc/$pid/cmdline | cut -c1-90)"
done
"""


BOOTSTRAP = (
    f"python3 /srv/tljh/installer/bootstrap.py --admin admin --conda-channel file://{CHANNEL}"
)
# bash prints the processor seconds of the bootstrap and its children in the last line.
TIMED = f"TIMEFORMAT='%U %S'; time {BOOTSTRAP}"


@dataclass(frozen=True)
class Run:
    """A run of the bootstrap: its output, and the time that it took."""

    wall_s: float
    user_s: float
    system_s: float
    others_s: float
    text: str

    def __str__(self) -> str:
        own = (
            f"{self.user_s + self.system_s:5.1f} s of processor ({self.system_s:.1f} in the kernel)"
        )
        return f"{self.wall_s:6.1f} s  {own}; others meanwhile {self.others_s:.1f} s"


def busy_s() -> float:
    """Return the seconds that all processors of this computer have worked since boot."""
    user, nice, system = Path("/proc/stat").read_text().split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def bootstrap(machine: Machine) -> Run:
    start_s, busy_before_s = time.monotonic(), busy_s()
    done = machine.run(TIMED, timeout_s=900)
    wall_s, all_s = time.monotonic() - start_s, busy_s() - busy_before_s
    text, _, times = done.stderr.rstrip().rpartition("\n")
    user_s, system_s = map(float, times.split())
    return Run(wall_s, user_s, system_s, all_s - user_s - system_s, f"{text}\n{done.stdout}")


def fresh_machine(image: str) -> Machine:
    machine = Machine.boot(image, options=channel_mount(local_channel(image)))
    machine.copy_checkout(ROOT)
    return machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", default="debian12")
    options = parser.parse_args()
    # The first machine is removed at the end only: for a minute ext4 without a journal does not
    # use a deleted inode again, and skips each of them for every new file. That cost an
    # installation 45 seconds.
    with fresh_machine(options.image) as warming:
        bootstrap(warming)
        with fresh_machine(options.image) as machine:
            first, second = bootstrap(machine), bootstrap(machine)
            print(first.text)
            print(f"boot           {machine.boot_seconds:6.1f} s")
            print(f"fresh install  {first}")
            print(f"second run     {second}")
            print(machine.run(PSS).stdout)


if __name__ == "__main__":
    main()
