"""An admin in a terminal of JupyterLab: the guides' commands as root, and users who read results.

All tests share a hub with the admin and the user ann.
"""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

from session import HubUser, claim_account, import_users

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"

# What root makes from a terminal, by the ways in which guides write it. Each makes a file.
AS_ROOT = {
    "sudo": "sudo mkdir -p /srv/data/course && sudo touch /srv/data/course/sudo",
    "tee": "sudo mkdir -p /etc/jupyter && echo '{}' | sudo tee /etc/jupyter/tee.json",
    "sudo -E": "sudo -E sh -c 'echo x > /srv/data/course/E'",
    "sudo -i": "sudo -i sh -c 'mkdir -p /srv/data/i && echo x > /srv/data/i/file'",
    "sudo -s": "sudo -s mkdir -p /srv/data/s && sudo -s touch /srv/data/s/file",
    "bash -c": "sudo bash -c 'mkdir -p /srv/data/b && echo x > /srv/data/b/file'",
    "su -c": "sudo su -c 'mkdir -p /srv/data/u && echo x > /srv/data/u/file'",
    "su - -c": "sudo su - -c 'mkdir -p /srv/data/l && echo x > /srv/data/l/file'",
    "kernel": "sudo python3 -m ipykernel install --prefix /usr/local --name course",
    "keyring": "sudo install -d /etc/apt/keyrings && echo k | sudo tee /etc/apt/keyrings/c.asc",
}
MADE = (
    *("/srv/data/course/sudo", "/etc/jupyter/tee.json", "/srv/data/course/E", "/srv/data/i/file"),
    *("/srv/data/s/file", "/srv/data/b/file", "/srv/data/u/file", "/srv/data/l/file"),
    "/usr/local/share/jupyter/kernels/course/kernel.json",
    "/etc/apt/keyrings/c.asc",
)
# Packages without a network: pip builds nothing for them that has to be downloaded.
PACKAGE = """
    mkdir -p ~/{name} && cd ~/{name} && echo 'value = 42' > {name}.py &&
    python3 -c 'import zipfile as z
    w = z.ZipFile("{name}-1.0-py3-none-any.whl", "w")
    w.write("{name}.py"); d = "{name}-1.0.dist-info/"
    w.writestr(d + "METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n")
    w.writestr(d + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    w.writestr(d + "RECORD", "")
    w.close()'
"""


@pytest.fixture(scope="module")
def hub(installed_shared):
    """Return a hub with users; `hub.url` is its address for this computer."""
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    import_users(machine, ["ann"], PASSWORD)
    # The first snapshot, in the background, would make the first pip wait.
    machine.run("tljh env record")
    return machine


@pytest.fixture(scope="module")
def admin(hub) -> HubUser:
    user = claim_account(hub, hub.url, "admin", PASSWORD)
    user.login(PASSWORD)
    user.start_server()
    return user


def with_server(hub, name: str) -> HubUser:
    user = HubUser(hub.url, name)
    user.login(PASSWORD)
    user.start_server()
    return user


@pytest.fixture(scope="module")
def ann(hub) -> HubUser:
    return with_server(hub, "ann")


def succeed(user: HubUser, command: str) -> str:
    output = user.terminal(command)
    assert "the-end-0" in output, output
    return output


def findings(hub, check: str) -> list[dict]:
    report = json.loads(hub.run("tljh doctor --json", check=False).stdout)
    return [item for item in report["findings"] if item["check"] == check]


def test_what_an_admin_makes_as_root_can_be_read_by_every_user(admin, ann):
    assert "0077" in admin.terminal("umask")
    for command in AS_ROOT.values():
        succeed(admin, command)
    succeed(ann, "cat " + " ".join(MADE))
    assert "course" in succeed(ann, "jupyter kernelspec list")
    assert "course" in ann.api("GET", "/kernelspecs").json()["kernelspecs"]


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("plainpip", "sudo pip"),
        ("envpip", "sudo -E pip"),
        ("modulepip", "sudo python3 -m pip"),
        ("rootpip", "sudo -i /opt/tljh/user/bin/pip"),
        ("activepip", "sudo bash -c 'source /opt/tljh/user/bin/activate && pip \"$@\"' -"),
    ],
)
def test_what_an_admin_installs_with_pip_is_recorded_and_can_be_imported_by_users(
    hub, admin, ann, name, command
):
    make = dedent(PACKAGE).strip().format(name=name)
    admin.execute(f"import subprocess\nsubprocess.run({make!r}, shell=True, check=True)")
    succeed(admin, f"{command} install --no-index ~/{name}/{name}-1.0-py3-none-any.whl")
    assert ann.execute(f"import {name}; {name}.value") == "42"
    history = json.loads(hub.run("tljh env history --json").stdout)
    last = history["snapshots"][-1]
    assert last["changes"] == [f"+ {name} 1.0"] and last["command"].startswith("pip install")
    assert history["unrecorded"] == []


def test_doctor_finds_what_a_umask_closed_and_its_fix_opens_it(hub, ann):
    closed = "/opt/tljh/user/share/jupyter/kernels/closed"
    hub.run(
        f"umask 077; mkdir -p {closed} /usr/local/share/jupyter/x; echo x > {closed}/kernel.json;"
        "echo x > /usr/local/share/jupyter/x/y; cd /opt/tljh/user/share/jupyter;"
        "groupadd licensed; echo x > licence; chgrp licensed licence; chmod 640 licence"
    )
    reported = findings(hub, "readable files")
    assert [item["severity"] for item in reported] == ["degraded", "degraded"]
    assert closed in reported[0]["what"] and "licence" not in str(reported)
    for item in reported:
        hub.run(item["fix"].removeprefix("sudo "))
    assert findings(hub, "readable files") == []
    succeed(ann, f"cat {closed}/kernel.json /usr/local/share/jupyter/x/y")
    assert "the-end-1" in ann.terminal("cat /opt/tljh/user/share/jupyter/licence")
    hub.run(f"rm -r {closed} /usr/local/share/jupyter/x /opt/tljh/user/share/jupyter/licence")


EVIL = "/srv/shared/lessons/evil"
TEACHER = f"""
cd /srv/shared/lessons &&
git config --global user.email t@example.org && git config --global user.name teacher &&
git init -q -b main repository && cd repository && echo one > lesson.txt && git add . &&
git commit -q -m first && printf '#!/bin/sh\\ntouch /srv/shared/lessons/was-run' > {EVIL} &&
chmod a+rx {EVIL} && cp {EVIL} .git/hooks/post-checkout && cp {EVIL} .git/hooks/pre-receive &&
git config core.fsmonitor {EVIL} && git config uploadpack.packObjectsHook {EVIL}
"""


def test_a_repository_in_a_shared_folder_is_cloned_and_runs_nothing_of_its_owner(hub, admin, ann):
    hub.run("tljh share add lessons")
    succeed(admin, " ".join(TEACHER.split("\n")))
    repository = "/srv/shared/lessons/repository"
    succeed(ann, f"git clone file://{repository} cloned && cat cloned/lesson.txt")
    assert "dubious ownership" in ann.terminal(f"git -C {repository} status")
    assert "dubious ownership" in ann.terminal("git -C cloned push")
    response = ann.http.get(
        f"{ann.server}/git-pull/api",
        params={"repo": repository, "branch": "main", "targetpath": "pulled"},
    )
    assert '"phase": "finished"' in response.text, response.text
    succeed(ann, "cat pulled/lesson.txt && ! test -e /srv/shared/lessons/was-run")


def test_nobody_is_asked_about_news(ann):
    path = "lab/api/settings/@jupyterlab/apputils-extension:notification"
    settings = ann.http.get(f"{ann.server}/{path}").json()
    assert settings["schema"]["properties"]["fetchNews"]["default"] == "false"
