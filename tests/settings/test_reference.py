"""What is written about the settings is made from their declarations, and is not stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.settings.keys import setting_keys
from tljh.settings.reference import describe_all, json_schema_text, reference_page
from tljh.settings.root import Config

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize(
    ("name", "made"),
    [("configuration.md", reference_page), ("config.schema.json", json_schema_text)],
)
def test_reference_is_not_stale(name: str, made: object) -> None:
    assert callable(made)
    written = (REFERENCE / name).read_text()
    assert written == made(Config), f"docs/reference/{name} is stale: run `make reference`"


def test_page_has_a_heading_for_every_setting() -> None:
    page = reference_page(Config)
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
    for one in describe_all(Config):
        if one.is_section or one.example is None:
            continue
        path, shape = file.look_up(one.key)
        value = (
            [read_item(one.example, shape, one.key)]
            if one.command.startswith("add-item")
            else read_value(one.example, shape, one.key)
        )
        text = set_value("", path, value)
        errors = [
            finding.what
            for finding in check(text.encode(), catalogue=real_catalogue())
            # A certificate waits for its key, and so on: that is no fault of the example.
            if "is not" not in finding.what and "missing" not in finding.what
        ]
        assert errors == [], one.key
