"""Listing and removing plugins of an installed hub; the package that a requirement names."""

from __future__ import annotations

from types import ModuleType

import pytest

from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.hooks import Cost, Section, hookimpl, setting
from tljh.operations import plugins
from tljh.operations.plugins import _get_package_name
from tljh.testing import FakeHub

CONFIGURATION = """\
users: {admin: [ada]}
plugins:
  packages:
    - tljh-course==1.0  # for ada
    - other
  required: [course]
"""


@pytest.fixture
def hub(monkeypatch) -> FakeHub:
    # The user environment needs a real disk.
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])
    module = ModuleType("tljh_course")
    module.tljh_extra_apt_packages = hookimpl(lambda: ["sl"])  # type: ignore[attr-defined]
    hub = FakeHub(course=module)
    hub.install()
    hub.reload(CONFIGURATION)
    return hub


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("tljh-repo2docker", "tljh-repo2docker"),
        ("tljh_course[extra]>=1", "tljh_course"),
        ("tljh-course @ https://example.org/x.zip", "tljh-course"),
        ("git+https://github.com/me/tljh-course.git", "tljh-course"),
        ("git+https://github.com/me/tljh-course@main#egg=x", "tljh-course"),
        ("/home/me/tljh-course/", "tljh-course"),
        ("/srv/tljh_course-0.1-py3-none-any.whl", "tljh_course"),
    ],
)
def test_the_package_that_a_requirement_names(spec, name):
    assert _get_package_name(spec) == name


def test_a_plugin_is_listed_with_its_requirement(hub):
    (plugin,) = plugins.list_plugins(hub.host, hub.paths)
    assert (plugin.name, plugin.package, plugin.spec) == (
        "course",
        "tljh-course",
        "tljh-course==1.0",
    )
    assert plugin.is_required
    assert plugin.mistake is None


@pytest.mark.parametrize("name", ["course", "tljh-course", "tljh_course", "tljh-course==1.0"])
def test_a_plugin_is_removed_by_any_of_its_names_and_the_rest_of_the_file_stays(hub, name):
    plan = plugins.plan_removal(hub.host, hub.paths, name)
    assert "plugins.packages" in plan.as_text()
    outcome = plugins.remove(hub.host, hub.paths, name, SilentProgress())
    assert hub.configuration["plugins"] == {"packages": ["other"], "required": []}
    assert outcome.number == 3


def test_the_declared_sections_of_a_plugin_go_with_it(monkeypatch):
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])

    class Course(Section):
        """Settings of the course."""

        size: int = setting(3, help="Size.", cost=Cost.NOTHING)

    module = ModuleType("tljh_course")
    module.tljh_settings = hookimpl(lambda: {"course": Course})  # type: ignore[attr-defined]
    hub = FakeHub(course=module)
    hub.install()
    hub.reload(CONFIGURATION + "course: {size: 4}\n")
    plugins.remove(hub.host, hub.paths, "course", SilentProgress())
    assert set(hub.configuration) == {"users", "plugins"}


def test_a_plugin_from_a_directory_of_another_name_is_removed_by_its_package(hub):
    hub.reload("users: {admin: [ada]}\nplugins: {packages: [/srv/of-ada]}\n")
    metadata = hub._find_metadata("course")
    hub.host.write(metadata / "direct_url.json", b'{"url": "file:///srv/of-ada"}', mode=0o644)
    plugins.remove(hub.host, hub.paths, "tljh-course", SilentProgress())
    assert hub.configuration["plugins"] == {"packages": []}


def test_a_plugin_that_is_not_there_is_named_with_those_that_are(hub):
    with pytest.raises(TljhError, match="there is no plugin cuorse") as failed:
        plugins.plan_removal(hub.host, hub.paths, "cuorse")
    assert "course" in (failed.value.findings[0].why or "")


def test_a_plugin_that_was_installed_by_hand_is_not_removed_from_the_configuration(hub):
    hub.reload("users: {admin: [ada]}\n")
    with pytest.raises(TljhError, match="plugin course was not added by tljh"):
        plugins.plan_removal(hub.host, hub.paths, "course")
