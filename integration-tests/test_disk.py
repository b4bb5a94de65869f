"""Room on the disk of a machine: what takes it, pruning, archives, and a disk that is full."""

from __future__ import annotations

import json

from machine import Machine
from session import HubUser, import_users

PASSWORD = "a long password 1"


def test_space_is_shown_and_caches_are_pruned(installed_shared: Machine):
    machine = installed_shared
    import_users(machine, ["ann"], PASSWORD)
    ann = HubUser(f"http://{machine.address()}", "ann")
    ann.login(PASSWORD)
    # The account and the home are made by the first start.
    ann.start_server()
    machine.run("dd if=/dev/zero of=/home/jupyter-ann/big bs=1M count=30 status=none")
    machine.run("mkdir -p /var/cache/tljh")
    machine.run("dd if=/dev/zero of=/var/cache/tljh/old bs=1M count=5 status=none")
    machine.run("touch -d '60 days ago' -a -m /var/cache/tljh/old")
    machine.run("touch /var/cache/tljh/new")
    report = json.loads(machine.run("tljh disk --json", timeout_s=300).stdout)
    [home] = [each for each in report["homes"] if each["name"] == "jupyter-ann"]
    assert home["size_bytes"] > 30 << 20
    paths = {each["path"]: each["size_bytes"] for each in report["usages"]}
    assert paths["/opt/tljh/user"] > 100 << 20
    machine.run("tljh-config set housekeeping.journal 64M && tljh-config reload", timeout_s=180)
    assert machine.run("systemctl is-active systemd-journald").stdout.strip() == "active"
    machine.run("tljh disk --clean", timeout_s=300)
    assert machine.run("ls /var/cache/tljh/old", check=False).code != 0
    machine.run("ls /var/cache/tljh/new")
    assert machine.run("tljh status", check=False).code == 0
    machine.run("tljh-config unset housekeeping && tljh-config reload", timeout_s=180)


def test_the_home_of_a_user_who_left_is_archived(installed_shared: Machine):
    machine = installed_shared
    refused = machine.run("tljh user archive ann", check=False)
    assert refused.code == 1 and "still has access" in refused.stderr
    machine.run("tljh user remove ann", timeout_s=180)
    assert "a home without access: ann" in machine.run("tljh user archive").stdout
    archived = json.loads(machine.run("tljh user archive ann --json", timeout_s=180).stdout)
    [path] = archived["archived"]
    assert "jupyter-ann/big" in machine.run(f"tar -tf {path}").stdout
    assert machine.run("ls /home/jupyter-ann", check=False).code != 0
    assert path in machine.run("tljh user archive").stdout


def test_the_size_of_the_machine_is_judged(installed_shared: Machine):
    machine = installed_shared
    sizing = json.loads(machine.run("tljh size --json").stdout)
    assert sizing["verdict"] in ("unknown", "fits", "small", "large")
    assert sizing["size"]["memory_bytes"] > 1 << 30
    answer = machine.run("tljh size --users 30 --memory 1G").stdout
    assert answer.startswith("32G of memory, 8 processors")
    assert machine.run("tljh size --users 30 --memory lots", check=False).code == 2
