"""`tljh-config show` and `get`: what is configured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tljh.commands.key_completion import KeyArgument
from tljh.commands.parameters import Option
from tljh.operations.installed_config import open_installed_file
from tljh.operations.setting_values import read_effective_value, read_written_value
from tljh.settings.redaction import redact, redact_text
from tljh.settings.yaml_text import format_block, format_flow


@dataclass(frozen=True)
class SettingValues:
    """Settings as text and as data."""

    text: str
    values: Any
    notes: tuple[str, ...] = ()

    def as_text(self) -> str:
        return self.text.rstrip("\n")

    def as_json(self) -> Any:
        return self.values


Reveal = Annotated[bool, Option("--reveal", "Print secrets, too.")]


def show(
    key: KeyArgument = "",
    *,
    all: Annotated[bool, Option("--all", "Print defaults, too.")] = False,
    reveal: Reveal = False,
    config_path: Path | None = None,
) -> SettingValues:
    """Print the configuration, or the part of it below a key; secrets are hidden."""
    file = open_installed_file(config_path)
    if all:
        values = read_effective_value(file, key, reveal=reveal)
        return SettingValues(format_yaml(values), values)
    if key:
        value = read_written_value(file, key, reveal=reveal)
        return SettingValues(format_yaml(value), value)
    document = file.document()
    values = document.root.value() if document.root else {}
    text = document.text if reveal else redact_text(document)
    notes = () if text.strip() else ("nothing is set, so the defaults apply: show --all",)
    return SettingValues(text, values if reveal else redact(values), notes)


def get(
    key: KeyArgument,
    *,
    reveal: Reveal = False,
    config_path: Path | None = None,
) -> SettingValues:
    """Print the value of one setting; if the file has none, the default."""
    file = open_installed_file(config_path)
    file.look_up(key)
    value = read_effective_value(file, key, reveal=reveal)
    return SettingValues(format_yaml(value), value)


def format_yaml(value: Any) -> str:
    """Return a value for the terminal: a word without quotes, lists and maps as YAML."""
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list)) and value:
        return "\n".join(format_block(value))
    return format_flow(value)
