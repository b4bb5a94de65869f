"""Files, units and rules of plugins: applied, rolled back, and gone with the plugin."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from tljh.base.errors import TljhError
from tljh.hooks import (
    PluginDirectory,
    PluginFile,
    PluginPackages,
    PluginUnit,
    hookimpl,
)
from tljh.testing import FakeHub

SERVICE = "[Service]\nExecStart=/usr/bin/true\n"
TIMER = "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n"
RULES = {"http": {"middlewares": {"course": {"compress": {}}}}}
PAGE = Path("/srv/course/pages/index.html")


def make_hub(**hooks: object) -> FakeHub:
    module = ModuleType("tljh_course")
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return FakeHub(course=module)


def resources(config):
    title = config["services"]["cull"]["timeout"]
    return [
        PluginFile(str(PAGE), f"of {title}\n"),
        PluginFile("/etc/motd", "course\n"),
        PluginDirectory("/srv/course/data", mode=0o700),
        PluginUnit("course.service", SERVICE, starts=False),
        PluginUnit("course.timer", TIMER),
        PluginPackages(("sl",)),
    ]


@pytest.fixture
def hub() -> FakeHub:
    hub = make_hub(tljh_resources=resources, tljh_traefik_rules=lambda config: RULES)
    hub.host.write(Path("/etc/motd"), b"welcome\n", mode=0o600)
    hub.install()
    assert hub.warnings == []
    return hub


def test_what_a_plugin_declares_is_applied_and_a_second_reload_changes_nothing(hub):
    host = hub.host
    assert host.read(PAGE) == b"of 3600\n"
    assert host.read(Path("/etc/motd")) == b"course\n"
    assert host.info(Path("/srv/course/data")).mode == 0o700
    assert host.unit("course.timer").is_active
    assert not host.unit("course.service").is_active
    assert host.package("sl")
    assert b'"compress"' in host.read(hub.paths.traefik_dynamic / "plugin-course.yaml")
    hub.reload()
    assert not hub.plan


def test_what_a_plugin_declares_follows_the_configuration(hub):
    hub.reload("users: {admin: [ada]}\nservices: {cull: {timeout: 77}}\n")
    assert hub.host.read(PAGE) == b"of 77\n"


def test_when_a_plugin_goes_all_that_it_brought_goes(hub):
    hub.remove("course")
    host = hub.host
    assert host.info(Path("/srv/course")) is None
    assert host.read(Path("/etc/motd")) == b"welcome\n"
    assert host.info(Path("/etc/motd")).mode == 0o600
    assert not host.unit("course.timer").is_active
    assert host.info(hub.paths.units_dir / "course.timer") is None
    assert host.info(hub.paths.traefik_dynamic / "plugin-course.yaml") is None
    assert "sudo apt-get remove sl" in " ".join(hub.plan.notes)
    hub.reload()
    assert not hub.plan


def test_a_directory_that_others_have_filled_stays(hub):
    hub.host.write(Path("/srv/course/data/mine"), b"x", mode=0o600)
    hub.remove("course")
    assert hub.host.read(Path("/srv/course/data/mine")) == b"x"


def test_what_a_plugin_does_not_declare_any_more_goes():
    declarations = [PluginFile("/etc/a", "a\n"), PluginFile("/etc/b", "b\n")]
    hub = make_hub(tljh_resources=lambda config: declarations)
    hub.install()
    del declarations[0]
    hub.reload()
    assert hub.host.read(Path("/etc/a")) is None
    assert hub.host.read(Path("/etc/b")) == b"b\n"


def test_a_plugin_that_fails_later_is_named_and_keeps_what_it_has():
    mistakes: list[Exception] = []

    def declare(config):
        if mistakes:
            raise mistakes[0]
        return [PluginFile("/etc/a", "a\n")]

    hub = make_hub(tljh_resources=declare)
    hub.install()
    mistakes.append(RuntimeError("no network"))
    hub.reload()
    (finding,) = hub.warnings
    assert "plugin course failed in tljh_resources: RuntimeError: no network" in finding.what
    assert hub.host.read(Path("/etc/a")) == b"a\n"
    with pytest.raises(TljhError, match="no network"):
        hub.reload("users: {admin: [ada]}\nplugins: {required: [course]}\n")


@pytest.mark.parametrize(
    ("declaration", "what"),
    [
        (lambda: [PluginFile("relative", "")], "a path must be absolute"),
        (lambda: [PluginFile("/opt/tljh/state/x", "")], "is in tljh's own directory"),
        (lambda: [PluginUnit("jupyterhub.service", "")], "is not a plugin's"),
        (lambda: [PluginUnit("course", "")], "a unit has a name like"),
        (lambda: ["/etc/x"], "for what it cannot have"),
        (lambda: [7], "must return a list of"),
    ],
)
def test_what_a_plugin_may_not_have_is_named_and_left_out(declaration, what):
    hub = make_hub(tljh_resources=lambda config: declaration())
    hub.install()
    (finding,) = hub.warnings
    assert what in finding.what
    assert finding.what.startswith("plugin course ")


def test_rules_that_traefik_would_refuse_are_named_and_left_out():
    rules = {"http": {"routers": {"tljh-mine": {"rule": "Path(`/`)"}}}}
    hub = make_hub(tljh_traefik_rules=lambda config: rules)
    hub.install()
    (finding,) = hub.warnings
    assert finding.what.startswith("plugin course asks in tljh_traefik_rules")


def test_a_file_that_tljh_writes_itself_is_left_out():
    hub = make_hub(tljh_resources=lambda config: [PluginFile("/etc/profile.d/tljh.sh", "")])
    hub.install()
    (finding,) = hub.warnings
    assert "/etc/profile.d/tljh.sh belongs to another plugin or to tljh" in finding.what
    assert hub.host.read(Path("/etc/profile.d/tljh.sh"))
