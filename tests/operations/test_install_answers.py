"""What the bootstrap's answers make of a config.yaml, old or new."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest

from tests.configurations import real_catalogue
from tljh.base.errors import Exit, TljhError
from tljh.operations.install_answers import (
    FIRST_LINES,
    InstallAnswers,
    PluginChanges,
    add_answers,
    read_answers,
)
from tljh.plugins import hookspecs
from tljh.settings.load import check, load

ENVIRONMENT = Path("/opt/tljh/versions/hub-0123456789ab")
CONFIG_FILE = Path("/opt/tljh/config/config.yaml")

INDENTED_BY_FOUR = """\
# ours

users:
    admin: # the boss
        - ada
    allowed:
        - "0042"   # a number that is a name
limits: {memory: 2G}
http:
    port: 80
https:
    letsencrypt:
        domains:
            - hub.example.org
"""


def configured(old: str, **answers: Any) -> str:
    data = add_answers(
        InstallAnswers(hub_environment=ENVIRONMENT, **answers), old.encode(), CONFIG_FILE
    )
    return data.decode()


def new_lines(before: str, after: str) -> list[str]:
    """Return the lines that were added; fail where a line is no longer there."""
    lines = before.splitlines()
    added = []
    for line in after.splitlines():
        if lines and line == lines[0]:
            lines.pop(0)
        else:
            added.append(line)
    assert lines == []
    return added


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., None]], None]:
    """Install a plugin with this `tljh_config_post_install`."""

    def install(change: Callable[..., None]) -> None:
        manager = pluggy.PluginManager("tljh")
        manager.add_hookspecs(hookspecs)
        hook = hookspecs.hookimpl(change)
        manager.register(SimpleNamespace(tljh_config_post_install=hook), "course")
        monkeypatch.setattr(
            "tljh.operations.install_answers.load_installed_plugins", lambda: manager
        )

    return install


def test_another_admin_is_one_new_line_in_a_file_that_is_indented_by_four() -> None:
    after = configured(INDENTED_BY_FOUR, admins=("bob",))
    assert new_lines(INDENTED_BY_FOUR, after) == ["        - bob"]


def test_the_same_answers_again_change_no_byte() -> None:
    answers = {"admins": ("ada",), "http_port": 80}
    assert configured(INDENTED_BY_FOUR, **answers) == INDENTED_BY_FOUR
    windows = INDENTED_BY_FOUR.replace("\n", "\r\n")
    assert configured(windows, **answers) == windows
    assert configured("users: {admin: [Ada]}\n", admins=("ada",)) == "users: {admin: [Ada]}\n"


def test_all_answers_are_in_a_first_configuration() -> None:
    text = configured(
        "",
        admins=("ada",),
        plugins=("tljh-course==1",),
        conda_channels=("https://conda.example.org/ours",),
        http_port=81,
        https_port=444,
    )
    assert text.startswith("# The configuration of this hub.")
    config = load(text.encode())
    assert config.users.admin == ["ada"]
    assert config.plugins.packages == ["tljh-course==1"]
    assert config.user_environment.channels == ["https://conda.example.org/ours"]
    assert (config.http.port, config.https.port) == (81, 444)


def test_an_installation_without_answers_is_a_file_of_comments() -> None:
    text = configured("")
    assert all(line.startswith("#") for line in text.splitlines())
    assert configured(text) == text


def test_a_setting_of_the_wrong_kind_is_refused_with_its_place() -> None:
    with pytest.raises(TljhError) as caught:
        configured("users:\n  admin: ada\n", admins=("bob",))
    (finding,) = caught.value.findings
    assert str(finding.where) == f"{CONFIG_FILE}, line 2, column 10"


def test_what_is_not_yaml_is_refused_with_its_place() -> None:
    with pytest.raises(TljhError) as caught:
        configured("users: [ada\n", admins=("bob",))
    place = caught.value.findings[0].where
    assert place is not None
    assert place.path == str(CONFIG_FILE)


def test_a_plugin_changes_only_its_own_lines(plugin: Callable[..., None]) -> None:
    def change(config: dict[str, Any]) -> None:
        config.setdefault("limits", {})["cpu"] = 2
        if "student" not in config["users"]["allowed"]:
            config["users"]["allowed"].append("student")
        config["course"] = {"week": 1}

    plugin(change)
    after = configured(INDENTED_BY_FOUR)
    assert new_lines(INDENTED_BY_FOUR.replace("{memory: 2G}", "{memory: 2G, cpu: 2}"), after) == [
        "        - student",
        "course:",
        "  week: 1",
        "plugins:",
        "  sections:",
        "    - course",
    ]
    assert configured(after) == after


@pytest.mark.parametrize("value", [{"a": 1}, "text", [1]])
def test_a_section_that_a_plugin_wrote_is_the_plugins_whatever_its_name(
    plugin: Callable[..., None], value: Any
) -> None:
    plugin(lambda config: config.update(Test=value))
    after = configured("")
    config = load(after.encode(), catalogue=real_catalogue())
    assert config.plugins.sections == ["Test"]
    assert config.plugin_sections == {"Test": value}


def test_a_section_that_no_plugin_wrote_is_refused_with_the_way_to_allow_it() -> None:
    (finding,) = check(b"Test: {a: 1}\n", catalogue=real_catalogue())
    assert "sudo tljh-config add-item plugins.sections Test" in str(finding.fix)
    allowed = b"Test: {a: 1}\nplugins: {sections: [Test]}\n"
    assert check(allowed, catalogue=real_catalogue()) == []


def test_a_failing_plugin_is_named(plugin: Callable[..., None]) -> None:
    def change(config: dict[str, Any]) -> None:
        raise KeyError("week")

    plugin(change)
    answers = InstallAnswers(hub_environment=ENVIRONMENT)
    changes = PluginChanges()
    assert add_answers(answers, b"", Path("config.yaml"), changes) == FIRST_LINES.encode()
    (finding,) = changes.mistakes
    assert "plugin course failed in tljh_config_post_install: KeyError: 'week'" in finding.what
    assert finding.where
    with pytest.raises(TljhError, match="plugin course failed in tljh_config_post_install"):
        configured("plugins: {required: [course]}\n")


def test_a_plugin_that_writes_a_mistake_is_named_and_its_changes_are_left_out(
    plugin: Callable[..., None],
) -> None:
    plugin(lambda config: config.update({"limits": {"memory": "much"}, "course": {"a": 1}}))
    changes = PluginChanges()
    answers = InstallAnswers(hub_environment=ENVIRONMENT)
    data = add_answers(answers, b"users: {admin: [ada]}\n", Path("config.yaml"), changes)
    assert data == b"users: {admin: [ada]}\n"
    (finding,) = changes.mistakes
    assert "plugin course writes a mistake into config.yaml: limits.memory" in finding.what


def test_an_empty_password_is_refused() -> None:
    text = json.dumps({"hub_environment": str(ENVIRONMENT), "admins": ["ada:"]})
    with pytest.raises(TljhError) as caught:
        read_answers(text)
    assert caught.value.exit_code is Exit.USAGE
