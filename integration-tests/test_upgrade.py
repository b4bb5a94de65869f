"""Upgrades on a real machine: a user works through one that fails, one that works, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from machine import Machine
from releases import BROKEN_SERVERS, CHANGED_UNIT, RENAMED_SETTING, build_release
from session import claim_account
from traffic import HeldKernel, failures_of, probes_of, traffic
from waiting import wait_until

pytestmark = [pytest.mark.machine, pytest.mark.long]

PASSWORD = "correct-horse-7"
TIMEOUT_S = 300


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("releases")
    changes = (RENAMED_SETTING, CHANGED_UNIT)
    return {
        "0.2.0": build_release(directory, "0.2.0", *changes),
        "0.3.0": build_release(directory, "0.3.0", *changes, BROKEN_SERVERS),
    }


@pytest.fixture(scope="module")
def hub(installed_shared: Machine, releases: dict[str, Path]) -> Machine:
    for version, file in releases.items():
        installed_shared.copy_in(file, f"/root/{version}.py")
    installed_shared.run("tljh-config set services.cull.every 45 && tljh-config reload")
    return installed_shared


def version_of(hub: Machine) -> str:
    return hub.run("tljh --version").stdout.split()[-1]


def traces_of_the_probe(hub: Machine) -> str:
    places = (
        "getent passwd; getent group; ls -d /home/*; tljh user list; systemctl list-units --all"
    )
    return hub.run(f"{{ {places}; }} | grep tljh-probe", check=False).stdout


def test_a_user_works_through_a_failed_upgrade_an_upgrade_and_a_rollback(hub: Machine):
    user = claim_account(hub, f"http://{hub.address()}", "admin", PASSWORD)
    user.login(PASSWORD)
    user.start_server()
    response = user.hub_api("POST", "/users/admin/tokens", json={"note": "probe"})
    probes = probes_of(user, response.json()["token"])
    config = hub.run("cat /opt/tljh/config/config.yaml").stdout

    plan = hub.run("tljh upgrade --file /root/0.2.0.py --plan", timeout_s=TIMEOUT_S).stdout
    assert "tljh 0.1.0 -> 0.2.0" in plan
    assert "JupyterHub stays" in plan
    assert "who may log in stays" in plan
    assert "- services.cull.every: 45" in plan
    assert "+ services.cull.interval: 45" in plan
    assert version_of(hub) == "0.1.0"

    with HeldKernel(user) as kernel, traffic(probes):
        failed = hub.run(
            "tljh upgrade --file /root/0.3.0.py --yes", check=False, timeout_s=TIMEOUT_S
        )
        assert failed.code == 1
        assert "no server starts with this release" in failed.stderr
        assert "every change was rolled back" in failed.stderr
        assert version_of(hub) == "0.1.0"
        assert hub.run("cat /opt/tljh/config/config.yaml").stdout == config
        assert traces_of_the_probe(hub) == ""

        hub.run("tljh upgrade --file /root/0.2.0.py --yes", timeout_s=TIMEOUT_S)
        assert version_of(hub) == "0.2.0"
        assert traces_of_the_probe(hub) == ""
        assert "interval: 45" in hub.run("cat /opt/tljh/config/config.yaml").stdout
        assert "NEW=yes" in hub.run("systemctl cat jupyterhub").stdout
        assert "Nothing to do" in hub.run("tljh-config reload").stdout

        hub.run("tljh user add late")
        refused = hub.run("tljh rollback </dev/null", check=False)
        assert refused.code == 1
        assert "late" in refused.stderr
        hub.run("tljh rollback --yes", timeout_s=TIMEOUT_S)
        assert version_of(hub) == "0.1.0"
        assert hub.run("cat /opt/tljh/config/config.yaml").stdout == config
        assert "NEW=yes" not in hub.run("systemctl cat jupyterhub").stdout
        assert "late" not in hub.run("tljh user list").stdout
        assert traces_of_the_probe(hub) == ""

    assert failures_of(probes) == {}
    assert kernel.failures == []
    assert hub.run("tljh status", check=False).code in (0, 2)


def test_the_hub_is_rebuilt_when_apt_finds_its_python_gone(hub: Machine):
    # As after an upgrade of the distribution: the link leads to a Python that was removed.
    before = hub.run("readlink -f /opt/tljh/hub").stdout
    hub.run("ln -sfn /usr/bin/python3.0 /opt/tljh/hub/bin/python")
    refused = hub.run("tljh status", check=False)
    assert refused.code == 1
    assert "sudo python3 /opt/tljh/hub/share/tljh/bootstrap.py" in refused.stderr
    # What apt runs after each of its runs.
    hub.run("apt-get install -y --reinstall hostname")
    wait_until(
        lambda: (
            hub.run("readlink -f /opt/tljh/hub").stdout != before
            and hub.run("systemctl is-active tljh-rebuild", check=False).stdout == "inactive\n"
        ),
        "the hub environment is rebuilt",
        240,
    )
    assert hub.run("tljh status --wait", check=False).code in (0, 2)
