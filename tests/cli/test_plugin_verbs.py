"""Commands of plugins: `tljh PLUGIN VERB`, with help, options, JSON, and errors with a line."""

from __future__ import annotations

import json
import sys

import pytest

from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import Paths
from tljh.cli import plugin_verbs
from tljh.cli.main import run
from tljh.cli.plugin_verbs import add_plugin_verbs
from tljh.cli.verbs import TLJH
from tljh.host.real import RealHost
from tljh.plugins.manager import record_contributions

from ..plugins.environments import PluginEnvironment

SOURCE = '''
from tljh.hooks import hookimpl

def sync(name: str, *, times: int = 1) -> str:
    """Copy the course NAME."""
    if times > 5:
        raise ValueError("too often")
    return f"copied {name} {times} times"

@hookimpl
def tljh_commands():
    return {"sync": sync, "resync-all": sync}
'''


@pytest.fixture
def tljh(tmp_path, monkeypatch):
    """Return a function that runs `tljh` with the plugin; its exit code."""
    environment = PluginEnvironment(tmp_path / "hub")
    environment.add("course", SOURCE)
    environment.add("user", SOURCE.replace("Copy", "Steal"))
    assert record_contributions(RealHost(), environment.path).failures == ()
    monkeypatch.setattr(plugin_verbs, "get_paths", lambda: Paths(tmp_path))
    assert Paths(tmp_path).hub_files == HubEnvironmentFiles(environment.path)
    monkeypatch.syspath_prepend(str(environment.library))
    return lambda *words: run("tljh", add_plugin_verbs(TLJH), list(words))


def test_a_plugins_command_has_arguments_options_and_help(tljh, capsys):
    assert tljh("course", "sync", "maths", "--times", "2") == 0
    assert capsys.readouterr().out == "copied maths 2 times\n"
    assert tljh("course", "sync", "maths", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"text": "copied maths 1 times"}
    assert tljh("course", "resync-all", "--help") == 0
    assert "Copy the course NAME." in capsys.readouterr().out


def test_a_plugin_cannot_replace_a_command_of_tljh(tljh, capsys):
    assert tljh("user", "--help") == 0
    assert "sync" not in capsys.readouterr().out


def test_a_plugins_command_that_fails_is_named_with_its_line(tljh, capsys):
    assert tljh("course", "sync", "maths", "--times", "6") == 1
    message = capsys.readouterr().err
    assert "plugin course failed in its command: ValueError: too often" in message
    assert "tljh_course.py, line 7" in message


def test_no_code_of_plugins_runs_for_other_commands(tljh):
    sys.modules.pop("tljh_course", None)
    assert tljh("completion") == 0
    assert "tljh_course" not in sys.modules
