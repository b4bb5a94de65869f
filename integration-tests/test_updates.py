"""Updates on a machine: unattended-upgrades of the distribution, and a reboot when it is due."""

from __future__ import annotations

import json

import requests

from machine import Machine
from session import HubUser, import_users
from waiting import wait_until

PASSWORD = "a long password 1"


def read_item(machine: Machine, name: str) -> dict:
    items = json.loads(machine.run("tljh checklist --json", check=False).stdout)["items"]
    return next(item for item in items if item["name"] == name)


def test_updates_are_set_up_and_tried(installed_shared: Machine):
    machine = installed_shared
    machine.run("tljh-config set updates.install security && tljh-config reload", timeout_s=300)
    checked = json.loads(machine.run("tljh updates check --json", timeout_s=300).stdout)
    assert checked["problem"] is None
    assert read_item(machine, "updates")["state"] == "done"
    assert "updates" not in machine.run("tljh status", check=False).stdout


def test_a_reboot_that_is_due_is_announced_waits_and_happens(installed_shared: Machine):
    machine = installed_shared
    machine.run(
        "tljh-config set updates.reboot.automatic true && "
        "tljh-config set updates.reboot.most_wait_s 5 && "
        "tljh-config set updates.reboot.warning_s 20 && tljh-config reload",
        timeout_s=300,
    )
    assert machine.run("systemctl is-active tljh-reboot.timer").stdout.strip() == "active"
    import_users(machine, ["ann"], PASSWORD)
    url = f"http://{machine.address()}"
    ann = HubUser(url, "ann")
    ann.login(PASSWORD)
    ann.start_server()
    assert "no update needs a reboot" in machine.run("tljh updates reboot").stdout
    machine.run("touch /run/reboot-required")
    assert read_item(machine, "reboot")["state"] == "missing"
    machine.run("systemctl start --no-block tljh-reboot")
    wait_until(lambda: "restarts for an update" in read_page(machine), "a warning")
    # A container that reboots stops: the harness starts it again.
    wait_until(lambda: machine.run("true", check=False).code != 0, "the reboot", timeout_s=120)
    machine.restart()
    wait_until(lambda: machine.run("tljh status", check=False).code == 0, "the hub", timeout_s=120)
    assert "restarts for an update" not in read_page(machine)


def read_page(machine: Machine) -> str:
    return requests.get(f"http://{machine.address()}/hub/login", timeout=10).text
