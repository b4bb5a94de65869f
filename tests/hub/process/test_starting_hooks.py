"""The hook for a server that is about to start: it changes the spawner, or is dropped."""

from __future__ import annotations

from types import SimpleNamespace

import pluggy
import pytest

from tljh.hub.process import starting_hooks
from tljh.hub.process.starting_hooks import call_starting_hooks
from tljh.plugins import hookspecs
from tljh.plugins.guard import PluginError
from tljh.plugins.selection import PluginSelection


@pytest.fixture
def call(monkeypatch):
    """Return a function that calls a plugin's hook for a spawner; it returns the findings."""

    def call_with(function, spawner):
        manager = pluggy.PluginManager("tljh")
        manager.add_hookspecs(hookspecs)
        plugin = SimpleNamespace(tljh_server_starting=hookspecs.hookimpl(function))
        manager.register(plugin, "course")
        monkeypatch.setattr(starting_hooks, "load_hub_plugins", lambda: manager)
        return call_starting_hooks(spawner)

    return call_with


def make_spawner() -> SimpleNamespace:
    return SimpleNamespace(environment={"A": "1"}, user=SimpleNamespace(name="ann"))


def greet(spawner):
    spawner.environment["HELLO"] = spawner.user.name


def fail(spawner):
    greet(spawner)
    raise RuntimeError("no network")


def test_a_plugin_changes_the_server_that_starts(call):
    spawner = make_spawner()
    assert call(greet, spawner) == []
    assert spawner.environment == {"A": "1", "HELLO": "ann"}


def test_the_changes_of_a_plugin_that_fails_are_dropped_and_the_server_starts(call):
    spawner = make_spawner()
    (finding,) = call(fail, spawner)
    assert "plugin course failed in tljh_server_starting: RuntimeError" in finding.what
    assert spawner.environment == {"A": "1"}


def test_no_server_starts_without_a_required_plugin(call, monkeypatch):
    selection = PluginSelection(required=("course",))
    monkeypatch.setattr(starting_hooks, "read_selection", lambda paths: selection)
    with pytest.raises(PluginError, match="plugin course failed"):
        call(fail, make_spawner())
