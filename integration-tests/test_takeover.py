"""A machine with The Littlest JupyterHub is taken over in place, and goes back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest
import requests

from machine import Machine
from machine.image import CHECKOUT
from machine.install import bootstrap_command, channel_mount
from machine.littlest import ADMIN_PASSWORD, littlest_image
from session import HubUser
from waiting import wait_until

LOGINS = ("admin", "ann", "ann@example.org", "professor.von.und.zu.altenstein")
# The lock of config.yaml's writers may stay.
PLACES = "/etc/systemd/system /etc/sudoers.d /opt/tljh/config /usr/bin/tljh*"
FILES = f"find {PLACES} ! -type d ! -name '.*'"
DIGESTS = f"{FILES} | sort | xargs -d '\\n' sha256sum; stat -c '%a %n' /opt/tljh/config/*"


@pytest.fixture(scope="module")
def littlest(release: str) -> Iterator[Machine]:
    image, channel = littlest_image(release)
    with Machine.boot(image, options=channel_mount(channel)) as machine:
        machine.copy_checkout(CHECKOUT)
        machine.url = f"http://{machine.address()}"
        wait_until(lambda: is_served(machine), "the hub of The Littlest JupyterHub")
        yield machine


@pytest.fixture(scope="module")
def users(littlest) -> dict[str, HubUser]:
    """Log everybody in and start their servers, before the takeover."""
    users = {login: HubUser(littlest.url, login) for login in LOGINS}
    for user in users.values():
        user.login(ADMIN_PASSWORD)
        # Its cookie against forged requests counts from the next page on.
        user.http.get(f"{littlest.url}/hub/home")
        user.start_server()
    return users


def is_served(machine: Machine) -> bool:
    try:
        return requests.get(f"{machine.url}/hub/login", timeout=5).status_code == 200
    except requests.RequestException:
        return False


def take_over(machine: Machine, *arguments: str, check: bool = True):
    return machine.run(bootstrap_command(*arguments), check=check, timeout_s=600)


def servers(machine: Machine) -> str:
    command = "systemctl show -p Id,MainPID 'jupyter-*.service'"
    return machine.run(command).stdout


def test_the_plan_changes_nothing(littlest, users):
    before = littlest.run(DIGESTS).stdout
    plan = take_over(littlest, "--plan").stdout
    assert "The Littlest JupyterHub 2.0.0 is taken over" in plan
    assert "services.cull.timeout: as TLJH has it" in plan
    assert littlest.run(DIGESTS).stdout == before


def test_a_drop_in_that_cannot_work_is_named_and_nothing_changes(littlest, users):
    before = littlest.run(DIGESTS).stdout
    drop_in = "/opt/tljh/config/jupyterhub_config.d/old.py"
    littlest.run(f"echo 'from tljh.traefik import ensure_traefik_binary' > {drop_in}")
    refused = take_over(littlest, check=False)
    littlest.run(f"rm {drop_in}")
    assert refused.code == 1
    assert f"{drop_in}, line 1" in refused.stderr and "tljh.traefik" in refused.stderr
    assert littlest.run(DIGESTS).stdout == before
    assert is_served(littlest)


@pytest.mark.long
@pytest.mark.parametrize("unit", ["traefik.service", "jupyterhub.service"])
def test_killed_in_the_middle_the_next_run_takes_over(littlest, users, unit):
    """Kill the run while it restarts a unit; the next one rolls back, and begins again."""
    log = "/opt/tljh/installer.log"
    command = bootstrap_command()
    # The machine of the other case was taken over in the end.
    littlest.run("test ! -L /opt/tljh/hub || tljh uninstall --back-to-tljh --yes", timeout_s=300)
    littlest.run(f"rm -f {log}; systemd-run --collect --unit takeover sh -c '{command}'")
    moved = "test -L /opt/tljh/hub" if unit == "traefik.service" else (
        "grep -q 'tljh.hub.process.app' /etc/systemd/system/jupyterhub.service && "
        "systemctl show -p ActiveState jupyterhub | grep -q activating"
    )  # fmt: skip
    wait_until(lambda: littlest.run(moved, check=False).code == 0, "the middle", 300)
    littlest.run("systemctl kill --signal=KILL takeover; systemctl stop takeover", check=False)
    kept = servers(littlest)
    take_over(littlest)
    assert servers(littlest) == kept
    littlest.run("tljh uninstall --back-to-tljh --yes", timeout_s=300)
    wait_until(lambda: is_served(littlest), "the hub of The Littlest JupyterHub")


@pytest.fixture(scope="module")
def taken_over(littlest, users) -> Iterator[dict[str, object]]:
    """Take the machine over while somebody works."""
    ann = users["ann"]
    kernel = ann.start_kernel()
    ann.execute("x = 41", kernel)
    before = servers(littlest)
    stop, failed, ends = threading.Event(), [], []

    def ask() -> None:
        while not stop.is_set():
            start = time.monotonic()
            try:
                answer = ann.http.get(f"{ann.server}/api", timeout=30)
                if answer.status_code == 200:
                    ends.append((start, time.monotonic()))
                    continue
                failed.append((start, answer.status_code))
            except requests.RequestException as error:
                failed.append((start, type(error).__name__))
            stop.wait(0.05)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        take_over(littlest)
    finally:
        stop.set()
        asking.join()
    wait_until(lambda: littlest.run("tljh status", check=False).code != 1, "a hub that works")
    return {"kernel": kernel, "servers": before, "failed": failed}


def test_servers_and_kernels_live_through_the_takeover(littlest, users, taken_over):
    assert servers(littlest) == taken_over["servers"]
    ann = users["ann"]
    # An open page asks the hub once, which gives it the cookie of its server's address.
    ann.http.get(f"{ann.server}/lab")
    assert ann.execute("x + 1", taken_over["kernel"]) == "42"
    failed = taken_over["failed"]
    dark_s = failed[-1][0] - failed[0][0] if failed else 0.0
    assert dark_s < 10, failed


def test_everybody_logs_in_with_the_password_of_before_and_has_the_old_home(
    littlest, users, taken_over
):
    for login in LOGINS:
        again = HubUser(littlest.url, login)
        again.login(ADMIN_PASSWORD)
    listed = {row["name"]: row for row in json.loads(littlest.run("tljh user list --json").stdout)}
    assert set(LOGINS) <= set(listed)
    accounts = littlest.run("getent passwd | grep -c ^jupyter-").stdout.strip()
    assert accounts == str(len(LOGINS))


def test_a_server_stops_and_starts_again_with_the_limits_of_the_configuration(
    littlest, users, taken_over
):
    for login in ("ann@example.org", "professor.von.und.zu.altenstein"):
        user = HubUser(littlest.url, login)
        user.login(ADMIN_PASSWORD)
        user.stop_server()
        user.start_server()
        assert user.execute("import os; os.environ['COURSE']") == "'algebra'"
    slices = littlest.run("systemctl show -p Slice 'jupyter-professor*.service'").stdout
    assert "jupyter.slice" in slices


def test_a_second_run_changes_nothing_and_the_environment_is_as_it_was(littlest, taken_over):
    assert "nothing to do" in littlest.run("tljh-config plan").stdout
    versions = "/opt/tljh/user/bin/python -m pip list --format=freeze"
    packages = littlest.run(versions).stdout
    assert "jupyterhub==5.2.1" in packages and "cowsay" in packages
    status = littlest.run("tljh status", check=False).stdout
    assert "sudo tljh env install --pip jupyterhub==" in status


def test_the_machine_goes_back_with_everything_since(littlest, users, taken_over):
    littlest.run("tljh user add zoe")
    before = servers(littlest)
    littlest.run("tljh uninstall --back-to-tljh --yes", timeout_s=300)
    wait_until(lambda: is_served(littlest), "the hub of The Littlest JupyterHub")
    assert servers(littlest) == before
    assert not littlest.run("ls /opt/tljh/versions", check=False).stdout
    assert "tljh.hub" not in littlest.run("cat /etc/systemd/system/jupyterhub.service").stdout
    ann = HubUser(littlest.url, "ann")
    ann.login(ADMIN_PASSWORD)
    assert littlest.run("stat -c %a /opt/tljh/config/config.yaml").stdout.strip() == "644"
    failed = littlest.run("systemctl --failed --no-legend").stdout.strip()
    assert failed == ""
