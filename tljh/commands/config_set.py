"""`tljh-config set`, `unset`, `add-item` and `remove-item`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tljh.base.errors import Exit, TljhError
from tljh.commands.key_completion import ItemArgument, KeyArgument, ValueArgument
from tljh.commands.parameters import Option
from tljh.operations import config_edits
from tljh.operations.config_edits import KeyEdit
from tljh.operations.installed_config import open_installed_file
from tljh.settings.yaml_text import format_flow

StdinOption = Annotated[bool, Option("--stdin", "Read the value from standard input; for secrets.")]


NoValidateOption = Annotated[
    bool, Option("--no-validate", "Write it without checking; reload still checks.")
]


UNCHECKED = "warning: not checked; reload refuses what the hub cannot run with"


@dataclass(frozen=True)
class EditReport:
    """An edit of a key, in a sentence."""

    sentence: str
    edit: KeyEdit
    was_checked: bool = True

    @property
    def notes(self) -> list[str]:
        notes = [] if self.was_checked else [UNCHECKED]
        return [*notes, *(finding.as_text("warning") for finding in self.edit.findings)]

    def as_text(self) -> str:
        if not self.edit.is_change:
            return self.sentence
        return f"{self.sentence}\nTo apply it: sudo tljh-config reload"

    def as_json(self) -> dict[str, Any]:
        return {
            "key": self.edit.key,
            "value": self.edit.value,
            "changed": self.edit.is_change,
            "findings": [finding.as_json() for finding in self.edit.findings],
        }


def set_value(
    key: KeyArgument,
    value: ValueArgument = None,
    *,
    stdin: StdinOption = False,
    no_validate: NoValidateOption = False,
    config_path: Path | None = None,
) -> EditReport:
    """Set a key to a value, read by the type of the setting; a list or a map is YAML."""
    text = _read_value_text(value, stdin, key)
    edit = config_edits.set_key(
        open_installed_file(config_path), key, text, validate=not no_validate
    )
    new = format_flow(edit.value)
    sentence = f"{edit.key} = {new}" if edit.is_change else f"{edit.key} is {new} already"
    return EditReport(sentence, edit, not no_validate)


def unset(
    key: KeyArgument,
    *,
    no_validate: NoValidateOption = False,
    config_path: Path | None = None,
) -> EditReport:
    """Remove a key from the file, so that its default applies."""
    edit = config_edits.unset_key(open_installed_file(config_path), key, validate=not no_validate)
    return EditReport(f"{edit.key} is no longer set", edit, not no_validate)


def add_item(
    key: KeyArgument,
    value: ItemArgument = None,
    *,
    stdin: StdinOption = False,
    no_validate: NoValidateOption = False,
    config_path: Path | None = None,
) -> EditReport:
    """Add an item to the end of a list, unless the list has it."""
    text = _read_value_text(value, stdin, key)
    edit = config_edits.add_item(
        open_installed_file(config_path), key, text, validate=not no_validate
    )
    when = "now" if edit.is_change else "already"
    return EditReport(f"{edit.key} has {format_flow(edit.value)} {when}", edit, not no_validate)


def remove_item(
    key: KeyArgument,
    value: ItemArgument = None,
    *,
    stdin: StdinOption = False,
    no_validate: NoValidateOption = False,
    config_path: Path | None = None,
) -> EditReport:
    """Remove an item from a list."""
    text = _read_value_text(value, stdin, key)
    file = open_installed_file(config_path)
    edit = config_edits.remove_item(file, key, text, validate=not no_validate)
    return EditReport(f"{edit.key} no longer has {format_flow(edit.value)}", edit, not no_validate)


def _read_value_text(value: str | None, stdin: bool, key: str) -> str:
    """Return VALUE, or standard input without its last line break."""
    if stdin and value is None:
        return sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if value is None or stdin:
        what = "both a value and --stdin are given" if stdin else "no value is given"
        raise TljhError(
            f"{what} for {key}",
            fix="give VALUE, or --stdin to read it from standard input",
            exit_code=Exit.USAGE,
        )
    return value
