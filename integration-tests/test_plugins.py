"""Plugins on a real machine: those that fail are named, and the hub goes on; one that is new."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.machine

# Lines of the plugins in `plugins-that-fail`.
MISTAKES = {
    "raising": ("failed when it is imported", 1),
    "importing": ("No module named 'tljh_missing'", 1),
    "exiting": ("tries to end the process", 3),
    "wrong": ("changes what the hub refuses", 6),
    "hanging": ("hangs in tljh_custom_jupyterhub_config", 9),
}
WRITTEN = "/opt/tljh/config/jupyterhub_config.d/writing.py"


@pytest.fixture(scope="module")
def hub(installed_shared):
    return installed_shared


def list_plugins(hub) -> dict:
    plugins = json.loads(hub.run("tljh plugin list --json").stdout)
    return {plugin["name"]: plugin for plugin in plugins}


def environment_of_servers(hub) -> str:
    code = (
        "from traitlets.config import Config; from tljh.hub.process.load_config import apply_to; "
        "c = Config(); apply_to(c); print(dict(c.Spawner.environment))"
    )
    return hub.run(f'/opt/tljh/hub/bin/python -c "{code}"').stdout


def test_plugins_that_fail_are_named_with_their_lines_and_the_hub_goes_on(hub):
    hub.copy_in(Path(__file__).parent / "plugins-that-fail", "/srv/failing")
    added = hub.run("tljh plugin add /srv/failing --yes", timeout_s=600)
    output = added.stdout + added.stderr
    assert "plugin installing failed in tljh_post_install: OSError: no network" in output
    assert f"plugin writing wrote {WRITTEN}, now {WRITTEN}.unused: " in output
    assert "No module named 'tljh_missing'" in output
    assert "Next:" not in output
    plugins = list_plugins(hub)
    assert {name for name, plugin in plugins.items() if not plugin["works"]} == set(MISTAKES)
    status = hub.run("tljh status", check=False)
    assert status.code == 2
    for name, (what, line) in MISTAKES.items():
        mistake = plugins[name]["mistake"]
        assert what in mistake["what"]
        assert mistake["path"].endswith(f"/tljh_{name}.py")
        assert mistake["line"] == line
        assert mistake["what"] in status.stdout
    assert hub.run("curl -sf http://127.0.0.1/hub/login").stdout
    environment = environment_of_servers(hub)
    assert "'GOOD': '1'" in environment
    assert "HANGING" not in environment


def test_plugins_that_fail_do_not_hold_up_the_commands(hub):
    started = time.monotonic()
    hub.run("tljh-config set services.cull.timeout 7000")
    hub.run("tljh-config show && tljh-config plan")
    assert time.monotonic() - started < 15
    # It tries what a reload tries: it waits for a plugin that hangs, and goes on.
    hub.run("tljh-config check && tljh-config unset services.cull.timeout", timeout_s=120)
    reloaded = hub.run("tljh-config reload", timeout_s=120)
    assert "plugin hanging hangs" in reloaded.stdout + reloaded.stderr


def test_a_required_plugin_that_fails_refuses_the_change(hub):
    hub.run("tljh-config add-item plugins.required raising")
    refused = hub.run("tljh-config reload", check=False, timeout_s=120)
    assert refused.code == 1
    assert "plugin raising failed when it is imported" in refused.stderr
    hub.run("curl -sf http://127.0.0.1/hub/login")
    hub.run("tljh-config unset plugins.required && tljh-config reload", timeout_s=120)


def test_all_plugins_of_a_package_are_removed_with_it(hub):
    plan = hub.run("tljh plugin remove tljh-failing --plan").stdout
    assert "without /srv/failing" in plan
    hub.run("tljh plugin remove tljh-failing --yes", timeout_s=600)
    assert list_plugins(hub) == {}
    assert hub.run("tljh status", check=False).code == 0
    assert hub.run(f"ls {WRITTEN}*", check=False).code != 0


def test_a_new_plugin_passes_its_tests_and_is_added_and_removed(hub):
    hub.run("tljh plugin new mycourse --directory /srv")
    tests = hub.run("cd /srv/tljh-mycourse && /opt/tljh/hub/bin/python -m unittest 2>&1").stdout
    assert "OK" in tests
    hub.run("tljh plugin add /srv/tljh-mycourse --yes", timeout_s=600)
    assert list_plugins(hub)["mycourse"]["works"]
    assert "MYCOURSE_PLUGIN" in environment_of_servers(hub)
    hub.run("tljh plugin remove mycourse --yes", timeout_s=600)
    assert list_plugins(hub) == {}
    assert hub.run("tljh status", check=False).code == 0
