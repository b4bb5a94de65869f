"""Installations that are killed in the middle of each change, and the next run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from machine import Machine
from machine.image import CHECKOUT
from machine.install import CHANNEL, channel_mount, local_channel

pytestmark = [pytest.mark.machine, pytest.mark.long]

BOOTSTRAP = f"python3 /srv/tljh/installer/bootstrap.py --admin ada --conda-channel file://{CHANNEL}"
# Runs the bootstrap in a new session and kills the whole session once the journal has so many
# intents: the change is then about to happen, happening, or just done. Exits with 9 where there
# are fewer changes; otherwise prints the kind of the change.
KILLER = f"""
import json, os, signal, subprocess, sys, time
number, steps = int(sys.argv[1]), "/opt/tljh/state/journal/pending/steps.jsonl"
run = subprocess.Popen({BOOTSTRAP.split()!r}, start_new_session=True)
seen, deadline = [], time.monotonic() + 600
while run.poll() is None and len(seen) < number and time.monotonic() < deadline:
    try:
        # What follows the last newline is half written.
        lines = open(steps).read().split("\\n")[:-1]
    except OSError:
        continue
    seen = [line for line in lines if '"kind"' in line]
if run.poll() is not None:
    sys.exit(9 if run.returncode == 0 else 1)
os.killpg(run.pid, signal.SIGKILL)
run.wait()
if len(seen) < number:
    sys.exit("the installation did not reach that change in time")
print(json.loads(seen[number - 1])["kind"])
"""


@pytest.fixture(scope="module")
def bare(release: str) -> Iterator[Machine]:
    """Boot a machine with the checkout and the channel, and nothing installed."""
    with Machine.boot(release, options=channel_mount(local_channel(release))) as machine:
        machine.copy_checkout(CHECKOUT)
        machine.run(f"cat > /srv/killer.py <<'END'\n{KILLER}\nEND")
        yield machine


def test_an_install_that_is_killed_at_every_change_converges(bare: Machine) -> None:
    kinds = []
    for number in range(1, 1000):
        killed = bare.run(f"python3 /srv/killer.py {number}", check=False, timeout_s=900)
        if killed.code == 9:
            break
        assert killed.code == 0, killed.stderr
        kinds.append(killed.stdout.splitlines()[-1])
    # Packages that apt had installed stay; each run starts everything else again.
    assert {"apt", "user", "directory", "file", "user-environment", "symlink"} <= set(kinds)
    assert bare.run("tljh status --json", check=False).code in (0, 2)
    again = bare.run(BOOTSTRAP, timeout_s=300)
    assert "Nothing to do" in again.stdout
    # One run was completed; of the others the last one that was rolled back is kept.
    assert set(bare.run("ls /opt/tljh/state/journal").stdout.split()) <= {"1", "rolled-back"}
