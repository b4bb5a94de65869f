"""`tljh.testing` and the plugin that `tljh plugin new` writes: both work, and say what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tljh.base.errors import TljhError
from tljh.hooks import hookimpl
from tljh.host.real import RealHost
from tljh.operations.plugin_skeleton import write_skeleton
from tljh.testing import FakeHub


def make_module(**hooks: object) -> ModuleType:
    module = ModuleType("tljh_course")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


@pytest.mark.parametrize("name", ["mycourse", "my-course", "tljh-other"])
def test_a_new_plugin_passes_its_own_tests(tmp_path, name):
    path = write_skeleton(RealHost(), name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "unittest"],
        cwd=path,
        env={"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 3 tests" in done.stderr


def test_a_new_plugin_is_not_written_over_an_old_one(tmp_path):
    write_skeleton(RealHost(), "mine", tmp_path)
    with pytest.raises(TljhError, match="tljh-mine exists"):
        write_skeleton(RealHost(), "mine", tmp_path)


@pytest.mark.parametrize("name", ["My Course", "1st", "../x", "a--b", ""])
def test_a_name_that_cannot_be_a_module_is_refused(tmp_path, name):
    with pytest.raises(TljhError, match="cannot be the name of a plugin"):
        write_skeleton(RealHost(), name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_hub_in_memory_calls_every_hook_of_a_plugin():
    called = []
    hub = FakeHub(
        course=make_module(
            tljh_extra_apt_packages=lambda: ["sl"],
            tljh_config_post_install=lambda config: config.update({"course": {"size": 3}}),
            tljh_post_install=lambda: called.append("installed"),
            tljh_new_user_create=lambda username: called.append(username),
        )
    )
    hub.install()
    assert hub.warnings == []
    assert hub.host.package("sl")
    assert hub.configuration["course"] == {"size": 3}
    hub.install()
    assert not hub.plan
    hub.create_user("ann")
    assert called == ["installed", "jupyter-ann"]


def test_a_hub_in_memory_names_a_plugin_that_fails_and_goes_on():
    def fail(c):
        raise ValueError("no course")

    hub = FakeHub(course=make_module(tljh_custom_jupyterhub_config=fail))
    hub.install()
    (finding,) = hub.warnings
    assert "plugin course failed in tljh_custom_jupyterhub_config" in finding.what
    assert hub.host.unit("jupyterhub.service").is_active
    hub.load_hub_configuration()
