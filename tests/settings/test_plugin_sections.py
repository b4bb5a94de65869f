"""Sections that plugins declare: checked, described and completed like tljh's own settings."""

from __future__ import annotations

from types import ModuleType
from typing import Literal

import pytest

from tljh.base.errors import TljhError
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.hooks import Cost, Section, hookimpl, read_settings, section, setting
from tljh.host.real import RealHost, RealReader
from tljh.operations.config_edits import add_item, set_key
from tljh.operations.setting_descriptions import describe_settings
from tljh.plugins import manager
from tljh.plugins.manager import record_contributions
from tljh.settings.config_file import ConfigFile
from tljh.settings.keys import setting_keys
from tljh.settings.plugin_sections import describe_section
from tljh.testing import FakeHub

from ..plugins.environments import PluginEnvironment

SOURCE = '''
from typing import Literal
from tljh.hooks import Cost, Section, hookimpl, section, setting

class Storage(Section):
    """Where the course is."""

    path: str = setting("/srv", help="Directory of the course.", cost=Cost.NOTHING)

class Course(Section):
    """Settings of the course."""

    size: int = setting(3, help="Number of groups.", cost=Cost.HUB_RESTART, ge=1, le=9)
    colour: Literal["red", "blue"] = setting("red", help="Colour.", cost=Cost.NOTHING)
    names: list[str] = setting(["ada"], help="Teachers.", cost=Cost.NOTHING)
    key: str | None = setting(None, help="Password.", cost=Cost.NOTHING, secret=True)
    weights: dict[str, float] = setting({}, help="Weights.", cost=Cost.NOTHING)
    storage: Storage = section(Storage, help="Storage.")

@hookimpl
def tljh_settings():
    return {"course": Course}
'''


@pytest.fixture
def file(tmp_path, monkeypatch) -> ConfigFile:
    """Return the configuration of an environment with the plugin; its code no longer runs."""
    environment = PluginEnvironment(tmp_path / "hub-1")
    module = environment.add("course", SOURCE)
    monkeypatch.setattr(manager, "TIMEOUT_S", 10.0)
    assert record_contributions(RealHost(), environment.path).failures == ()
    module.write_text("raise ValueError('this code must not run')\n")
    path = tmp_path / "config.yaml"
    path.write_text("users: {admin: [ada]}\n")
    return ConfigFile(path, catalogue=HubEnvironmentFiles(environment.path))


def test_values_are_read_by_their_type_and_written(file):
    set_key(file, "course.size", "4")
    set_key(file, "course.colour", "blue")
    set_key(file, "course.weights.a", "0.5")
    set_key(file, "course.storage.path", "/data")
    add_item(file, "course.names", "42")
    course = file.examine().config.course
    assert (course.size, course.colour, course.names) == (4, "blue", ["ada", "42"])
    assert (course.weights, course.storage.path) == ({"a": 0.5}, "/data")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("course.size", "10", "course.size must be between 1 and 9, not 10"),
        ("course.size", "many", "course.size must be a whole number between 1 and 9"),
        ("course.colour", "green", "must be one of red, blue"),
        ("course.siez", "4", "there is no setting course.siez"),
        ("coruse.size", "4", "there is no setting coruse.size"),
    ],
)
def test_a_mistake_is_refused_with_the_words_of_the_declaration(file, key, value, message):
    with pytest.raises(TljhError) as refused:
        set_key(file, key, value)
    assert message in refused.value.findings[0].what
    assert file.path.read_text() == "users: {admin: [ada]}\n"


def test_a_mistake_in_the_file_has_its_line(file):
    file.path.write_text("course:\n  size: 4\n  colour: green\n")
    (finding,) = file.examine().findings("error")
    assert finding.where
    assert finding.where.line == 3


def test_settings_are_described_and_completed(file):
    (described,) = describe_settings(file, "course.size", RealReader())
    assert described.help == "Number of groups."
    assert "3" in described.as_text()
    assert "hub restart" in described.as_text()
    assert {"course.size", "course.storage.path"} <= set(setting_keys(file.model))


def test_a_plugin_that_fails_later_keeps_its_sections(file, tmp_path):
    environment = tmp_path / "hub-1"
    (metadata,) = environment.glob("lib/*/*/*.dist-info")
    metadata.rename(metadata.with_name("tljh_course-2.0.dist-info"))
    assert record_contributions(RealHost(), environment).failures
    set_key(file, "course.size", "4")
    with pytest.raises(TljhError, match="between 1 and 9"):
        set_key(file, "course.size", "10")


class Nested(Section):
    odd: complex = setting(1j, help="Odd.", cost=Cost.NOTHING)


class NoHelp(Section):
    size: int = 3


class NoDefault(Section):
    size: int = setting(help="Size.", cost=Cost.NOTHING)


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        ("users", Section, "cannot have the name"),
        ("My", Section, "cannot have the name"),
        ("course", int, "must be a class that inherits Section"),
        ("course", Nested, "course.odd has a type that a setting cannot have"),
        ("course", NoHelp, "course.size needs help"),
        ("course", NoDefault, "course.size needs a default"),
    ],
)
def test_a_declaration_that_is_no_section_is_refused(name, model, message):
    with pytest.raises(ValueError, match=message):
        describe_section(name, model)


class Course(Section):
    """Settings of the course."""

    size: int = setting(3, help="Number of groups.", cost=Cost.HUB_RESTART, ge=1)
    colour: Literal["red", "blue"] = setting("red", help="Colour.", cost=Cost.NOTHING)


class Outer(Section):
    """A section in a section."""

    course: Course = section(Course, help="The course.")


def make_hub() -> FakeHub:
    module = ModuleType("tljh_course")

    def change(c):
        c.Spawner.environment["SIZE"] = str(read_settings("course")["size"])

    module.tljh_settings = hookimpl(lambda: {"course": Course, "outer": Outer})  # type: ignore[attr-defined]
    module.tljh_custom_jupyterhub_config = hookimpl(change)  # type: ignore[attr-defined]
    hub = FakeHub(course=module)
    hub.install()
    assert hub.warnings == []
    return hub


def test_the_hub_gets_the_applied_values_and_restarts_for_another_one():
    hub = make_hub()
    assert hub.load_hub_configuration().Spawner.environment["SIZE"] == "3"
    hub.reload("users: {admin: [ada]}\ncourse: {size: 7}\n")
    assert "restart: " in hub.plan.as_text()
    assert "course.size" in hub.plan.as_text()
    assert hub.load_hub_configuration().Spawner.environment["SIZE"] == "7"
    with pytest.raises(TljhError, match=r"course\.size"):
        hub.reload("users: {admin: [ada]}\ncourse: {size: 0}\n")
