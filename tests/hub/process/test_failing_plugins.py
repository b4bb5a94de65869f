"""Plugins that fail while the hub's configuration is loaded: the hub goes on without them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from traitlets.config import Config

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.hub.config_check import find_failing_plugins
from tljh.hub.process import load_config
from tljh.hub.process.load_config import BUILT_IN_PLUGINS, apply_to
from tljh.plugins.manager import load_plugins
from tljh.plugins.selection import PluginSelection

HEAD = "from tljh.hooks import hookimpl\n\n@hookimpl\ndef tljh_custom_jupyterhub_config(c):\n"
SETS = "    c.Spawner.environment = {'A': '1'}\n"


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    (tmp_path / "jupyterhub_config.d").mkdir()
    (tmp_path / "hub.json").write_text(json.dumps({"Spawner": {"start_timeout": 60}}))
    monkeypatch.setenv("TLJH_APPLIED", str(tmp_path))
    monkeypatch.setattr(load_config, "CONFIG_TIMEOUT_S", 0.5)
    return Paths(tmp_path)


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that registers plugins, given their source."""
    manager = load_plugins(BUILT_IN_PLUGINS)
    monkeypatch.setattr(load_config, "load_hub_plugins", lambda: manager)

    def register(name: str, source: str) -> Path:
        file = tmp_path / f"tljh_{name}.py"
        file.write_text(source)
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        manager.register(module, name)
        return file

    return register


def require(paths: Paths, name: str) -> None:
    selection = PluginSelection(required=(name,))
    (paths.prefix / "plugins.json").write_bytes(selection.as_json())


@pytest.mark.parametrize(
    ("mistake", "line", "what"),
    [
        ("    raise ValueError('no course')\n", 6, "failed in tljh_custom_jupyterhub_config"),
        ("    import time; time.sleep(60)\n", 6, "hangs in tljh_custom_jupyterhub_config"),
        ("    import sys; sys.exit(1)\n", 6, "tries to end the process"),
        ("    import os; os._exit(1)\n", 6, "tries to end the process"),
    ],
)
def test_the_changes_of_a_plugin_that_fails_are_taken_back(paths, plugins, mistake, line, what):
    plugins("good", HEAD + "    c.Spawner.debug = True\n")
    file = plugins("bad", HEAD + SETS + mistake)
    c = Config()
    (failure,) = apply_to(c, paths).failures
    assert failure.plugin == "bad"
    assert what in failure.finding.what
    assert str(failure.finding.where) == f"{file}, line {line}"
    assert "A" not in c.Spawner.get("environment", {})
    assert (c.Spawner.debug, c.Spawner.start_timeout) == (True, 60)


def test_a_hub_does_not_start_without_a_required_plugin(paths, plugins):
    plugins("bad", HEAD + "    raise ValueError('no course')\n")
    require(paths, "bad")
    with pytest.raises(TljhError, match="plugin bad failed"):
        apply_to(Config(), paths)
    (error,) = find_failing_plugins(paths).errors
    assert error.what.startswith("plugin bad failed in tljh_custom_jupyterhub_config: ValueError")


def test_a_plugin_that_chose_the_login_is_required_from_then_on(paths, plugins):
    login = "    c.JupyterHub.authenticator_class = 'dummy'\n"
    plugins("login", HEAD + "    import os\n    assert 'NO_LOGIN' not in os.environ\n" + login)
    plugins("good", HEAD + SETS)
    loaded = apply_to(Config(), paths)
    assert loaded.login_plugins == ("login",)
    paths.login_plugins.parent.mkdir()
    paths.login_plugins.write_text(json.dumps(loaded.login_plugins))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_LOGIN", "1")
        with pytest.raises(TljhError, match="plugin login failed"):
            apply_to(Config(), paths)


WRONG = {
    "what only tljh may set": ("c.JupyterHub.hub_port = 9\n", "JupyterHub.hub_port"),
    "a value of a wrong type": ("c.JupyterHub.services = 7\n", "JupyterHub.services"),
    "a class that is missing": (
        "c.JupyterHub.authenticator_class = 'no.Such'\n",
        "JupyterHub.authenticator_class",
    ),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_plugin_that_changes_the_wrong_thing_is_found_among_others(paths, plugins, mistake):
    source, key = WRONG[mistake]
    plugins("good", HEAD + "    c.Spawner.debug = True\n")
    file = plugins("bad", HEAD + SETS + "    " + source)
    checked = find_failing_plugins(paths)
    assert checked.errors == []
    ((name, finding),) = checked.failures.items()
    assert name == "bad"
    assert finding.what.startswith("plugin bad changes what the hub refuses: ")
    assert key in finding.what
    assert str(finding.where) == f"{file}, line 6"
    require(paths, "bad")
    (error,) = find_failing_plugins(paths).errors
    assert error.what == finding.what


def test_a_mistake_in_a_drop_in_is_not_a_plugins(paths, plugins, tmp_path):
    plugins("good", HEAD + SETS)
    (tmp_path / "jupyterhub_config.d" / "x.py").write_text("c.JupyterHub.hub_port = 9\n")
    checked = find_failing_plugins(paths)
    assert checked.failures == {}
    assert "a drop-in sets JupyterHub.hub_port" in checked.errors[0].what


def test_what_a_plugin_prints_does_not_mix_with_the_answer(paths, plugins, capfd):
    plugins("loud", HEAD + "    print('hello')\n    import os; os.system('echo hello')\n")
    apply_to(Config(), paths)
    assert "hello" not in capfd.readouterr().out
    assert sys.stdout
