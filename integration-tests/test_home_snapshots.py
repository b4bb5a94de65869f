"""Snapshots of the homes on btrfs, made by the timer and read by their users."""

from __future__ import annotations

import json

import pytest

from session import HubUser, import_users

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
DISK = (
    "truncate -s 400M /srv/disk.img && mkfs.btrfs -q /srv/disk.img && mkdir -p /data"
    " && mount -o loop /srv/disk.img /data"
)


@pytest.fixture(scope="module")
def hub(installed_shared):
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    machine.run("apt-get install -y btrfs-progs >/dev/null", timeout_s=300)
    # As on a machine that is no container: what is mounted appears in units that run.
    machine.run("mount --make-rshared / && systemctl restart jupyterhub")
    machine.run(DISK)
    import_users(machine, ["ann", "bob"], PASSWORD)
    return machine


def list_snapshots(hub) -> list[str]:
    return json.loads(hub.run("tljh homes snapshots --json").stdout)["snapshots"]


def test_a_file_system_without_snapshots_is_told_and_stops_nothing(hub):
    done = hub.run("tljh-config set homes.snapshots.enabled true")
    assert "has no effect" in done.stderr and "which makes no snapshots" in done.stderr
    hub.run("tljh-config reload")
    assert "no snapshots of the homes are made" in hub.run("tljh status", check=False).stdout
    refused = hub.run("tljh homes snapshot", check=False)
    assert refused.code == 1 and "sudo tljh homes move" in refused.stderr


def test_a_directory_that_is_no_subvolume_gets_the_command_for_one(hub):
    hub.run("mkdir /data/plain && tljh homes move /data/plain --yes")
    done = hub.run("tljh homes snapshot", check=False)
    assert "is no subvolume of its own" in done.stderr
    line = next(line for line in done.stderr.splitlines() if "btrfs subvolume create" in line)
    hub.run(f"{line.partition('fix: ')[2]} --yes")
    hub.run("tljh-config reload")
    assert hub.run("systemctl is-active tljh-snapshots.timer").stdout.strip() == "active"
    assert list_snapshots(hub) == []


def test_users_find_their_own_old_files_and_only_those(hub):
    ann, bob = (HubUser(hub.url, name) for name in ("ann", "bob"))
    for user in (ann, bob):
        user.login(PASSWORD)
        user.start_server()
    ann.terminal("echo 'the first' > work.txt; chmod 600 work.txt")
    hub.run("systemctl start tljh-snapshots.service")
    (snapshot,) = list_snapshots(hub)
    ann.terminal("echo 'the second' > work.txt")
    old = f"{snapshot}/jupyter-ann/work.txt"
    assert "the first" in ann.terminal(f"cat {old}")
    assert "Read-only file system" in ann.terminal(f"rm -f {old}")
    assert "Permission denied" in bob.terminal(f"cat {old}")
    assert "Permission denied" in bob.terminal(f"mv {snapshot} {snapshot}.x")
    assert "snapshots" not in hub.run("tljh status", check=False).stdout


def test_nobody_gets_the_id_of_a_user_whose_home_is_in_a_snapshot(hub):
    old_id = hub.run("id -u jupyter-bob").stdout
    hub.run("tljh user remove bob --delete-home", timeout_s=120)
    import_users(hub, ["carl"], PASSWORD)
    carl = HubUser(hub.url, "carl")
    carl.login(PASSWORD)
    carl.start_server()
    assert hub.run("id -u jupyter-carl").stdout > old_id
    (snapshot,) = list_snapshots(hub)
    assert "Permission denied" in carl.terminal(f"ls {snapshot}/jupyter-bob")


def test_old_snapshots_are_deleted_and_switching_off_keeps_the_others(hub):
    for period in ("hourly", "daily", "weekly"):
        hub.run(f"tljh-config set homes.snapshots.keep.{period} 0")
    hub.run("tljh-config set homes.snapshots.keep.latest 2 && tljh-config reload")
    before = list_snapshots(hub)
    for _ in range(3):
        hub.run("tljh homes snapshot")
    after = list_snapshots(hub)
    assert len(after) == 2 and not set(before) & set(after)
    hub.run("tljh-config set homes.snapshots.enabled false && tljh-config reload")
    assert hub.run("systemctl is-active tljh-snapshots.timer", check=False).code != 0
    assert list_snapshots(hub) == after
    assert "tljh-snapshots" not in hub.run("systemctl --failed").stdout
