"""What is written about the settings is made from their declarations, and is not stale."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tljh.cli.verbs import CONFIG, TLJH
from tljh.settings.keys import setting_keys
from tljh.settings.reference import describe_all, format_json_schema, format_reference_page
from tljh.settings.root import Config

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize(
    ("name", "content"),
    [("configuration.md", format_reference_page), ("config.schema.json", format_json_schema)],
)
def test_reference_is_not_stale(name: str, content: object) -> None:
    assert callable(content)
    written = (REFERENCE / name).read_text()
    assert written == content(Config), f"docs/reference/{name} is stale: run `make reference`"


def test_page_has_a_heading_for_every_setting() -> None:
    page = format_reference_page(Config)
    for key in setting_keys(Config):
        assert f"#### `{key}`\n" in page or f"## {key}\n" in page, key


def test_every_example_is_a_value_that_its_setting_takes() -> None:
    from tests.configurations import real_catalogue
    from tljh.base.paths import Paths
    from tljh.settings.command_line_values import read_item, read_value
    from tljh.settings.config_file import ConfigFile
    from tljh.settings.load import check
    from tljh.settings.yaml_edit import set_value

    file = ConfigFile(Paths().config_file, catalogue=real_catalogue())
    for setting in describe_all(Config):
        if setting.is_section or setting.example is None:
            continue
        key = setting.key.replace("custom_scopes.NAME", "custom_scopes.custom:sample")
        path, shape = file.look_up(key.replace("NAME", "sample"))
        value = (
            [read_item(setting.example, shape, setting.key)]
            if setting.command.startswith("add-item")
            else read_value(setting.example, shape, setting.key)
        )
        text = set_value("", path, value)
        errors = [
            finding.what
            for finding in check(text.encode(), catalogue=real_catalogue())
            # A certificate waits for its key, and so on: that is no fault of the example.
            if not re.search("is not|missing|does not exist", finding.what)
        ]
        assert errors == [], setting.key


def test_every_setting_is_read_by_something() -> None:
    package = Path(__file__).parents[2] / "tljh"
    declared = (package / "settings" / "sections", package / "settings" / "root.py")
    names: set[str] = set()
    for path in package.rglob("*.py"):
        if not any(path.is_relative_to(place) for place in declared):
            names |= set(re.findall(r"\.([a-z_]+)\b", path.read_text()))
    # Whole sections are handed on by model_dump.
    handed_on = ("auth.throttle.", "limits.", "isolation.")
    unread = [
        key
        for key in setting_keys(Config)
        if not key.startswith(handed_on) and not set(key.split(".")) <= names
    ]
    assert unread == []


def test_every_command_and_setting_that_a_help_sentence_names_exists() -> None:
    keys = {setting.key for setting in describe_all(Config)}
    sections = {key.partition(".")[0] for key in keys}
    for setting in describe_all(Config):
        for name in re.findall(r"\b[a-z_]+(?:\.[a-z_]+)+\b", setting.help):
            if name.partition(".")[0] in sections:
                assert name in keys, f"{setting.key}: {name}"
        for command in re.findall(r"\btljh(?:-config)? ([a-z]+)", setting.help):
            assert command in {**TLJH.verbs, **CONFIG.verbs}, f"{setting.key}: {command}"
