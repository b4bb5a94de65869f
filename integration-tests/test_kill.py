"""Killed with its whole process group in the middle of any change, the next run converges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from machine import Machine
from machine.image import CHECKOUT
from machine.install import CHANNEL, channel_mount, local_channel

pytestmark = [pytest.mark.machine, pytest.mark.long]

BOOTSTRAP = f"python3 /srv/tljh/installer/bootstrap.py --admin ada --conda-channel file://{CHANNEL}"
# Runs the bootstrap in a session of its own and kills it all once the journal holds so many
# intents: the change is then about to be made, being made, or just made. 9 says that there are
# not so many; the last line, of which kind the change was.
KILLER = f"""
import json, os, signal, subprocess, sys, time
number, steps = int(sys.argv[1]), "/opt/tljh/state/journal/pending/steps.jsonl"
run = subprocess.Popen({BOOTSTRAP.split()!r}, start_new_session=True)
seen, deadline = [], time.monotonic() + 600
while run.poll() is None and len(seen) < number and time.monotonic() < deadline:
    try:
        # What stands behind the last end of a line is half written.
        lines = open(steps).read().split("\\n")[:-1]
    except OSError:
        continue
    seen = [line for line in lines if '"kind"' in line]
if run.poll() is not None:
    sys.exit(9 if run.returncode == 0 else 1)
os.killpg(run.pid, signal.SIGKILL)
run.wait()
if len(seen) < number:
    sys.exit("it did not come to that change in time")
print(json.loads(seen[number - 1])["kind"])
"""


@pytest.fixture(scope="module")
def bare(release: str) -> Iterator[Machine]:
    """A machine with the checkout and the channel, and nothing installed."""
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
    # Packages that apt had installed stay; all else is begun anew by each run.
    assert {"apt", "user", "directory", "file", "user-environment", "symlink"} <= set(kinds)
    assert bare.run("tljh status --json", check=False).code in (0, 2)
    again = bare.run(BOOTSTRAP, timeout_s=300)
    assert "Nothing to do" in again.stdout
    # One came to its end; of the others there is the last one that was rolled back.
    assert set(bare.run("ls /opt/tljh/state/journal").stdout.split()) <= {"1", "rolled-back"}
