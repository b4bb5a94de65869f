"""The firewall, scanned from a second machine: confirmed, not confirmed, and after a reboot."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from machine import Machine
from waiting import wait_until

SCAN = """
import concurrent.futures, socket, sys
def is_open(port):
    with socket.socket() as connection:
        connection.settimeout(2)
        return connection.connect_ex((sys.argv[1], port)) == 0
ports = [22, 80, 443, 2222, 8080, 8099, 9999, 15001, *range(3000, 3020)]
with concurrent.futures.ThreadPoolExecutor(40) as pool:
    print(*[port for port, answer in zip(ports, pool.map(is_open, ports)) if answer])
"""


@pytest.fixture(scope="module")
def scanner(release: str) -> Iterator[Machine]:
    with Machine.boot(release) as booted:
        yield booted


@pytest.fixture(scope="module")
def guarded(installed_shared: Machine) -> Iterator[Machine]:
    machine = installed_shared
    machine.install_packages("openssh-server")
    machine.run("echo 'Port 2222' > /etc/ssh/sshd_config.d/port.conf && systemctl daemon-reload")
    # On Ubuntu systemd listens for sshd, at the ports of its configuration.
    machine.run("systemctl restart ssh.socket 2>/dev/null; systemctl restart ssh")
    machine.run("systemd-run --unit open python3 -m http.server 9999")
    yield machine
    machine.run("tljh-config unset firewall && tljh-config reload", timeout_s=180)


def scan(scanner: Machine, machine: Machine) -> list[int]:
    ports = scanner.run(f"python3 - {machine.address()}", input=SCAN, timeout_s=60).stdout
    return [int(port) for port in ports.split()]


def read_state(machine: Machine) -> str:
    return str(json.loads(machine.run("tljh firewall status --json").stdout)["state"])


def enable(machine: Machine) -> str:
    machine.run("tljh-config set firewall.enabled true")
    done = machine.run("tljh-config reload", timeout_s=180)
    return done.stdout + done.stderr


def test_rules_that_are_not_confirmed_go_back_and_stay_away(guarded: Machine, scanner: Machine):
    assert scan(scanner, guarded) == [80, 2222, 9999]
    assert "sudo tljh firewall confirm" in enable(guarded)
    assert scan(scanner, guarded) == [80, 2222]
    assert read_state(guarded) == "waiting"
    wait_until(lambda: read_state(guarded) == "went-back", "the way back", timeout_s=90)
    assert scan(scanner, guarded) == [80, 2222, 9999]
    guarded.run("tljh-config reload", timeout_s=180)
    assert scan(scanner, guarded) == [80, 2222, 9999]
    assert "went back" in guarded.run("tljh status", check=False).stdout
    assert guarded.run("tljh firewall confirm", check=False).code == 1


def test_confirmed_rules_stay_and_added_ports_open(guarded: Machine, scanner: Machine):
    guarded.run("tljh firewall try", timeout_s=180)
    guarded.run("tljh firewall confirm")
    assert read_state(guarded) == "on"
    assert guarded.run("tljh status", check=False).code == 0
    guarded.run("tljh-config add-item firewall.ports 9999 && tljh-config reload", timeout_s=180)
    guarded.run("tljh firewall confirm")
    assert scan(scanner, guarded) == [80, 2222, 9999]
    guarded.run("tljh-config unset firewall.ports && tljh-config reload", timeout_s=180)
    guarded.run("tljh firewall confirm")
    assert scan(scanner, guarded) == [80, 2222]
    items = json.loads(guarded.run("tljh checklist --json", check=False).stdout)["items"]
    [item] = [each for each in items if each["name"] == "firewall"]
    assert item["state"] == "done"


def test_rules_are_there_after_a_reload_of_nftables_and_after_a_reboot(
    guarded: Machine, scanner: Machine
):
    guarded.run("systemctl restart nftables")
    assert scan(scanner, guarded) == [80, 2222]
    guarded.restart()
    wait_until(lambda: 80 in scan(scanner, guarded), "the hub after the reboot", timeout_s=120)
    guarded.run("systemd-run --unit open python3 -m http.server 9999")
    assert scan(scanner, guarded) == [80, 2222]
    assert read_state(guarded) == "on"


def test_ufw_is_left_alone(guarded: Machine):
    guarded.run("tljh-config unset firewall && tljh-config reload", timeout_s=180)
    assert "tljh_firewall" not in guarded.run("nft list tables").stdout
    guarded.install_packages("ufw")
    guarded.run("ufw allow 2222/tcp && ufw allow 80/tcp && ufw --force enable", check=False)
    if "Status: active" not in guarded.run("ufw status", check=False).stdout:
        pytest.skip("ufw does not start in a container")
    enable(guarded)
    assert "tljh_firewall" not in guarded.run("nft list tables").stdout
    assert "ufw guards this machine" in guarded.run("tljh status", check=False).stdout
    guarded.run("ufw --force disable")
