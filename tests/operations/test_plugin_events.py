"""Plugins are called for checks, backups, upgrades, removals and users who are removed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.hooks import CheckResult, hookimpl
from tljh.operations import plugin_events, plugins
from tljh.operations.plugin_events import call_event
from tljh.operations.uninstall import uninstall
from tljh.testing import FakeHub


@pytest.fixture(autouse=True)
def no_user_environment(monkeypatch):
    """Leave out the user environment, which needs a real disk."""
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])


def make_hub(**hooks: object) -> FakeHub:
    module = ModuleType("tljh_course")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    hub = FakeHub(course=module)
    hub.install()
    assert hub.warnings == []
    return hub


def fail(*arguments: object) -> None:
    raise RuntimeError("no network")


def test_the_doctor_reports_what_a_plugin_finds():
    def find(config):
        return [CheckResult(f"{config['http']['port']} is odd", "sudo tljh-config unset http.port")]

    (finding,) = make_hub(tljh_doctor_checks=find).run_doctor()
    assert finding.what == "course: 80 is odd"
    assert finding.fix


def test_the_doctor_names_a_plugin_that_fails():
    (finding,) = make_hub(tljh_doctor_checks=lambda config: fail()).run_doctor()
    assert "plugin course failed in tljh_doctor_checks: RuntimeError" in finding.what
    (finding,) = make_hub(tljh_doctor_checks=lambda config: ["odd"]).run_doctor()
    assert finding.what.startswith("plugin course failed in tljh_doctor_checks: 'odd' is not one")


def test_a_backup_has_the_paths_of_plugins_that_exist():
    hub = make_hub(tljh_backup_paths=lambda config: ["/srv/course", "/srv/missing"])
    for directory in ("/srv", "/srv/course"):
        hub.host.mkdir(Path(directory), mode=0o755)
    assert hub.list_backup_paths() == [Path("/srv/course")]


@pytest.mark.parametrize("answer", [["course"], [7]])
def test_no_backup_is_made_without_the_paths_that_a_plugin_means(answer):
    hub = make_hub(tljh_backup_paths=lambda config: answer)
    with pytest.raises(TljhError, match="plugin course"):
        hub.list_backup_paths()


def test_a_plugin_is_called_before_and_after_it_is_removed():
    called = []
    hub = make_hub(
        tljh_before_removal=lambda: called.append("before"),
        tljh_after_removal=lambda: called.append("after"),
    )
    hub.reload("users: {admin: [ada]}\nplugins: {packages: [tljh-course]}\n")
    plugins.remove(hub.host, hub.paths, "course", SilentProgress())
    assert called == ["before", "after"]


def test_plugins_are_called_around_an_uninstall_and_a_failing_one_does_not_stop_it():
    called = []

    def before():
        called.append(hub.host.unit("jupyterhub.service").is_active)
        fail()

    hub = make_hub(
        tljh_before_removal=before,
        tljh_after_removal=lambda: called.append(hub.host.unit("jupyterhub.service").is_active),
    )
    uninstall(hub.host, hub.paths, SilentProgress(), purge=True)
    assert called == [True, False]
    assert hub.host.info(hub.paths.prefix) is None


def test_an_event_has_its_arguments_and_a_required_plugin_can_refuse():
    called = []
    hub = make_hub(
        tljh_before_upgrade=lambda old_version, new_version: called.append(
            (old_version, new_version)
        ),
        tljh_after_upgrade=lambda new_version: fail(),
        tljh_user_removed=lambda username: called.append(username),
    )
    versions = {"old_version": "1", "new_version": "2"}
    assert call_event(hub.host, hub.paths, "tljh_before_upgrade", versions) == []
    assert call_event(hub.host, hub.paths, "tljh_user_removed", {"username": "jupyter-ann"}) == []
    assert called == [("1", "2"), "jupyter-ann"]
    failures = call_event(hub.host, hub.paths, "tljh_after_upgrade", versions)
    assert failures[0].plugin == "course"
    plugin_events.refuse_failed(failures, ())
    with pytest.raises(TljhError, match="no network"):
        plugin_events.refuse_failed(failures, ["course"])
