"""A machine that was prepared to be copied makes new secrets at its next boot."""

from __future__ import annotations

from machine import Machine
from waiting import wait_until

SECRETS = "cd /opt/tljh/state && sha256sum hub-api.secret jupyterhub_cookie_secret metrics.secret"


def test_a_prepared_machine_boots_with_secrets_of_its_own(installed: Machine):
    before = installed.run(SECRETS).stdout.split()
    plan = installed.run("tljh generalize --plan").stdout
    assert "jupyterhub_cookie_secret" in plan and "/etc/machine-id" in plan
    installed.run("tljh generalize --yes", timeout_s=120)
    assert installed.run(SECRETS, check=False).code != 0
    assert installed.run("systemctl is-enabled jupyterhub", check=False).code != 0
    installed.restart()
    wait_until(
        lambda: installed.run("tljh status", check=False).code == 0,
        "a hub that is fine",
        timeout_s=120,
    )
    after = installed.run(SECRETS).stdout.split()
    assert before[1::2] == after[1::2] and not set(before[::2]) & set(after[::2])
    assert installed.run("test -e /opt/tljh/state/generalized", check=False).code != 0
    assert installed.run("cat /etc/machine-id").stdout.strip()
