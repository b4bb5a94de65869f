"""What a class gets on a real hub: one JupyterLab for all, its own environment, GPUs."""

from __future__ import annotations

import json
import re

import pytest

from machine import Machine
from session import HubUser, import_users

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
THEMES = "@jupyterlab/apputils-extension:themes"
DOWNLOAD = "@jupyterlab/filebrowser-extension:download"


def start(hub: Machine, name: str) -> HubUser:
    user = HubUser(f"http://{hub.address()}", name)
    user.login(PASSWORD)
    user.start_server()
    return user


def default_theme(user: HubUser) -> str:
    plugin = user.http.get(f"{user.server}/lab/api/settings/{THEMES}").json()
    return str(plugin["schema"]["properties"]["theme"]["default"])


def disabled(user: HubUser) -> list[str]:
    page = user.http.get(f"{user.server}/lab").text
    match = re.search(r'"disabledExtensions": (\[[^\]]*\])', page)
    assert match, page[:2000]
    names: list[str] = json.loads(match[1])
    return names


def test_settings_and_extensions_are_the_same_for_all(installed_shared, restored_config):
    hub = installed_shared
    import_users(hub, ["ann", "bob"], PASSWORD)
    ann = start(hub, "ann")
    assert default_theme(ann) == "JupyterLab Light" and DOWNLOAD not in disabled(ann)
    section = "user_environment.jupyterlab"
    refused = hub.run(
        f"""tljh-config set {section}.settings '{{"{THEMES}": {{theme: 5}}}}'""", check=False
    )
    assert refused.code == 1 and "is not of type 'string'" in refused.stderr
    hub.run(f"""tljh-config set {section}.settings '{{"{THEMES}": {{theme: JupyterLab Dark}}}}'""")
    hub.run(f"""tljh-config set {section}.extensions '{{"{DOWNLOAD}": false}}'""")
    hub.run("tljh-config set user_environment.server_extensions '{nbgitpuller: false}'")
    started = hub.run("systemctl show -P ActiveEnterTimestampMonotonic jupyterhub").stdout
    hub.run("tljh-config reload", timeout_s=180)
    unit = hub.run("systemctl show -P ActiveEnterTimestampMonotonic jupyterhub")
    assert unit.stdout == started, "the hub was restarted"
    # A server that runs keeps what it has; the next one of anybody has the new settings.
    ann.stop_server()
    for user in (start(hub, "ann"), start(hub, "bob")):
        assert default_theme(user) == "JupyterLab Dark"
        assert DOWNLOAD in disabled(user)
        assert user.http.get(f"{user.server}/git-pull?repo=x").status_code == 404
        user.stop_server()
    refused = hub.run("tljh link https://example.org/course", check=False)
    assert refused.code == 1 and "switched off for all users" in refused.stderr


def kernel_names(user: HubUser) -> set[str]:
    return set(user.api("GET", "/kernelspecs").json()["kernelspecs"])


def test_a_named_environment_is_a_kernel_for_its_group(installed_shared, restored_config):
    hub = installed_shared
    import_users(hub, ["erin", "frank"], PASSWORD)
    hub.run("tljh-config set users.extra_user_groups.stats '[erin]' && tljh-config reload")
    erin, frank = start(hub, "erin"), start(hub, "frank")
    refused = hub.run("tljh env create python3 --yes", check=False)
    assert refused.code == 2 and "cannot be called python3" in refused.stderr
    hub.run("tljh env create stats --group stats --title Statistics --yes", timeout_s=600)
    # Servers that run find it, without a restart.
    assert "stats" in kernel_names(erin) and "stats" not in kernel_names(frank)
    kernel = erin.api("POST", "/kernels", json={"name": "stats"}).json()["id"]
    prefix = erin.execute("import sys; print(sys.prefix)", kernel)
    assert "/opt/tljh/environments/stats" in prefix
    hub.run("tljh env share stats --all")
    assert "stats" in kernel_names(frank)
    checked = json.loads(hub.run("tljh env check --env stats --json").stdout)
    assert checked["status"] == "fine" and checked["packages"] > 5
    history = json.loads(hub.run("tljh env history --env stats --json").stdout)
    assert [entry["number"] for entry in history["snapshots"]] == [1]
    assert hub.run("tljh status", check=False).code == 0
    hub.run("tljh env delete stats --yes")
    assert "stats" not in kernel_names(erin)
    # A user's own environment, by the command of the guide.
    done = frank.terminal(
        "/opt/tljh/user/bin/python -m venv --without-pip --system-site-packages ~/mine && "
        "~/mine/bin/python -m ipykernel install --user --name mine --display-name Mine"
    )
    assert "the-end-0" in done, done
    assert "mine" in kernel_names(frank) and "mine" not in kernel_names(erin)
    for user in (erin, frank):
        user.stop_server()


def test_gpus_are_for_the_members_of_their_group(installed_shared, restored_config):
    hub = installed_shared
    # /dev/null under the name of a GPU: no machine of the tests has one.
    if hub.run("mknod -m 666 /dev/nvidia0 c 1 3", check=False).code != 0:
        pytest.skip("this machine allows no device nodes")
    import_users(hub, ["gina", "hans"], PASSWORD)
    hub.run("tljh-config set users.extra_user_groups.vision '[gina]'")
    hub.run("tljh-config add-item isolation.gpu_groups vision")
    hub.run("tljh-config reload", timeout_s=180)
    code = "import os; print(os.access('/dev/nvidia0', os.R_OK), os.access('/dev/null', os.R_OK))"
    for name, seen in (("gina", "True True"), ("hans", "False True")):
        user = start(hub, name)
        assert seen in user.execute(code)
        user.stop_server()
    hub.run("rm /dev/nvidia0")
