"""Built-in plugins: registered with the hooks of all plugins, before the installed ones."""

from __future__ import annotations

import json
from types import ModuleType

import pytest

from tljh.base.paths import Paths
from tljh.hub.process import builtin_firstuse, builtin_native
from tljh.hub.process.authenticator_choice import choose_authenticator
from tljh.hub.process.load_config import BUILT_IN_PLUGINS, load_hub_plugins, make_configuration
from tljh.plugins.hookspecs import hookimpl
from tljh.plugins.manager import list_plugins, load_installed_plugins, load_plugins


@pytest.fixture
def paths(tmp_path, monkeypatch):
    (tmp_path / "jupyterhub_config.d").mkdir()
    (tmp_path / "hub.json").write_text(json.dumps({"JupyterHub": {"authenticator_class": "pam"}}))
    monkeypatch.setenv("TLJH_APPLIED", str(tmp_path))
    return Paths(tmp_path)


@pytest.fixture
def choose(monkeypatch):
    """Register an installed plugin that chooses an authenticator class."""

    def register(authenticator_class: str) -> None:
        plugin = ModuleType("choosing")

        @hookimpl
        def tljh_custom_jupyterhub_config(c):
            c.JupyterHub.authenticator_class = authenticator_class

        plugin.tljh_custom_jupyterhub_config = tljh_custom_jupyterhub_config
        manager = load_plugins(BUILT_IN_PLUGINS)
        manager.register(plugin)
        monkeypatch.setattr("tljh.hub.process.load_config.load_hub_plugins", lambda: manager)

    return register


def test_built_in_plugins_implement_known_hooks_and_come_first():
    manager = load_hub_plugins()
    manager.check_pending()
    order = [hook.plugin for hook in manager.hook.tljh_custom_jupyterhub_config.get_hookimpls()]
    assert tuple(order[: len(BUILT_IN_PLUGINS)]) == BUILT_IN_PLUGINS


def test_built_in_plugins_are_not_among_the_installed_ones():
    assert not {plugin.__name__ for plugin in BUILT_IN_PLUGINS} & set(
        list_plugins(load_installed_plugins())
    )


@pytest.mark.parametrize("plugin", BUILT_IN_PLUGINS, ids=lambda plugin: plugin.__name__)
def test_the_class_that_a_built_in_plugin_replaces_exists(paths, plugin):
    module, _, name = plugin.LIBRARY_CLASS.rpartition(".")
    assert getattr(pytest.importorskip(module), name).__module__ == module


@pytest.mark.parametrize(
    ("authenticator_class", "replacement"),
    [
        ("native", "ClaimedNativeAuthenticator"),
        (builtin_native.LIBRARY_CLASS, "ClaimedNativeAuthenticator"),
        (builtin_firstuse.LIBRARY_CLASS, "ClaimedFirstUseAuthenticator"),
        ("dummy", "DummyAuthenticator"),
    ],
)
def test_a_plugins_choice_is_replaced_by_tljhs_adapter(
    paths, choose, authenticator_class, replacement
):
    choose(authenticator_class)
    assert choose_authenticator(make_configuration(paths)).__name__ == replacement


def test_a_class_that_cannot_be_loaded_stays_for_the_check_to_report(paths, choose):
    choose("missing.Authenticator")
    c = make_configuration(paths)
    assert c.JupyterHub.authenticator_class == "missing.Authenticator"
