"""A hub from a bundle, on a machine that has no network at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from machine import Machine

pytestmark = [pytest.mark.machine, pytest.mark.long]

BUNDLE = "/media/stick/hub.tar"
INSTALL = f"cd /root && python3 bootstrap.py --bundle {BUNDLE} --admin ann"


def make_bundle(hub: Machine, directory: Path) -> None:
    """Have a hub with a network make the bundle, and copy it to `directory`."""
    command = "tljh bundle create /root/hub.tar --package numpy --pip cowsay --json"
    report = json.loads(hub.run(command, timeout_s=600).stdout)
    assert report["bytes"] > 50e6 and report["files"] > 150
    hub.engine.run("cp", f"{hub.name}:/root/hub.tar", str(directory / "hub.tar"))
    hub.run("rm /root/hub.tar")


def test_a_hub_is_installed_and_changed_without_a_network(installed, release, tmp_path):
    make_bundle(installed, tmp_path)
    data = (tmp_path / "hub.tar").read_bytes()
    (tmp_path / "damaged.tar").write_bytes(data[:-20_000_000])
    options = ["--network=none", f"--volume={tmp_path}:/media/stick:ro"]
    with Machine.boot(release, with_caches=False, options=options) as machine:
        machine.environment.clear()
        machine.write_environment()
        machine.run(f"cd /root && tar -xf {BUNDLE} bootstrap.py")
        damaged = "cd /root && python3 bootstrap.py --bundle /media/stick/damaged.tar"
        refused = machine.run(damaged, check=False)
        assert refused.code == 1 and "the bundle /media/stick/damaged.tar is damaged" in (
            refused.stderr
        )
        assert "/opt/tljh" not in machine.run("ls -d /opt/*", check=False).stdout
        # Killed while it unpacks, and while the hub environment is built.
        for seconds in (2, 8):
            machine.run(f"timeout -s KILL {seconds} sh -c '{INSTALL}'", check=False)
        output = machine.run(INSTALL, timeout_s=900).stdout
        assert "Done. Your hub:" in output
        status = machine.run("tljh status --wait", check=False, timeout_s=120)
        assert status.code == 0, status.stdout
        leftovers = machine.run("ls -A /opt/tljh/versions").stdout.split()
        # The first snapshot may still be in the making.
        kinds = sorted(name.partition("-")[0] for name in leftovers if name[0] not in ".u")
        assert kinds == ["bundle", "hub"], leftovers
        assert not [name for name in leftovers if name.startswith(".build-")]
        again = machine.run(INSTALL, timeout_s=300).stdout
        assert "Nothing to do" in again
        install = f"tljh env install --bundle {BUNDLE} --yes"
        machine.run(install, timeout_s=300)
        machine.run(f"{install} --pip", timeout_s=300)
        machine.run("/opt/tljh/user/bin/python -c 'import numpy, cowsay'")
        # What it asks for is refused with its name, and the environment stays.
        missing = machine.run(f"{install} scipy", check=False, timeout_s=120)
        assert missing.code == 1 and "scipy" in missing.stderr
        assert machine.run("tljh status", check=False).code == 0
