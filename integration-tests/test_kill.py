"""Killed with its whole process group in the middle of any change, the next run converges."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from machine import Machine
from machine.image import CHECKOUT
from machine.install import CHANNEL, channel_mount, local_channel

pytestmark = [pytest.mark.machine, pytest.mark.long]

# In the order in which an installation comes to them.
KINDS = (
    "apt",
    "group",
    "user",
    "directory",
    "file",
    "user-environment",
    "symlink",
    "unit-change",
)
BOOTSTRAP = f"python3 /srv/tljh/installer/bootstrap.py --admin ada --conda-channel file://{CHANNEL}"
# Runs the bootstrap in a session of its own and kills it all once the journal holds an intent
# of the kind: the change is then about to be made, being made, or just made.
KILLER = f"""
import json, os, signal, subprocess, sys, time
kind, steps = sys.argv[1], "/opt/tljh/state/journal/pending/steps.jsonl"
run = subprocess.Popen({BOOTSTRAP.split()!r}, start_new_session=True)
seen, deadline = False, time.monotonic() + 600
while run.poll() is None and not seen and time.monotonic() < deadline:
    try:
        lines = open(steps).read().splitlines()
    except OSError:
        continue
    seen = any('"kind": "%s"' % kind in line for line in lines)
os.killpg(run.pid, signal.SIGKILL)
run.wait()
sys.exit(0 if seen else 9)
"""


@pytest.fixture(scope="module")
def bare(release: str) -> Iterator[Machine]:
    """A machine with the checkout and the channel, and nothing installed."""
    with Machine.boot(release, options=channel_mount(local_channel(release))) as machine:
        machine.copy_checkout(CHECKOUT)
        machine.run(f"cat > /srv/killer.py <<'END'\n{KILLER}\nEND")
        yield machine


def test_an_install_that_is_killed_at_every_kind_of_change_converges(bare: Machine) -> None:
    killed = {
        kind: bare.run(f"python3 /srv/killer.py {kind}", check=False, timeout_s=900).code
        for kind in KINDS
    }
    # Packages that apt had installed stay: the kind comes up once only.
    assert [kind for kind in KINDS if killed[kind] == 9] == []
    done = bare.run(f"{BOOTSTRAP} --json", timeout_s=900)
    assert json.loads(done.stdout.splitlines()[-1])["admins"] == ["ada"]
    assert bare.run("tljh status --json", check=False).code in (0, 2)
    again = bare.run(BOOTSTRAP, timeout_s=300)
    assert "Nothing to do" in again.stdout
    assert bare.run("ls /opt/tljh/state/journal").stdout.split()[0] == "1"
