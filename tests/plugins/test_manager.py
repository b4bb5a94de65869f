"""Plugins: what their hooks ask for, and what they must not leave behind."""

from __future__ import annotations

from pathlib import Path

import pluggy
import pytest

from tljh.hooks import hookimpl
from tljh.plugins import hookspecs
from tljh.plugins.manager import contributions


class Untidy:
    """A plugin that writes a file where it is called, as some published ones do."""

    @hookimpl
    def tljh_extra_user_pip_packages(self):
        Path("requirements.txt").write_text("numpy")
        return ["numpy"]


@pytest.fixture
def manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("tljh")
    manager.add_hookspecs(hookspecs)
    manager.register(Untidy())
    return manager


def test_a_hook_leaves_nothing_in_the_directory_of_the_caller(manager, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert contributions(manager).user_pip_packages == ("numpy",)
    assert list(tmp_path.iterdir()) == []
    assert Path.cwd() == tmp_path
