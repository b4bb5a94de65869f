"""`tljh-config set`, `unset`, `add-item` and `remove-item`: changing the configuration."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tljh.base.errors import Exit, Finding, TljhError
from tljh.commands.key_completion import ItemArgument, KeyArgument, ValueArgument
from tljh.commands.parameters import Option
from tljh.operations.installed_config import installed_file
from tljh.settings.config_file import ConfigFile, FileEdit
from tljh.settings.keys import key_text
from tljh.settings.redaction import hidden
from tljh.settings.yaml_edit import add_item as add_to_text
from tljh.settings.yaml_edit import flow_text, unset_value
from tljh.settings.yaml_edit import remove_item as remove_from_text
from tljh.settings.yaml_edit import set_value as set_in_text
from tljh.settings.yaml_tree import parse

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath
    from tljh.settings.shape import Shape

StdinOption = Annotated[bool, Option("--stdin", "Read the value from standard input; for secrets.")]


NoValidateOption = Annotated[
    bool, Option("--no-validate", "Write it without checking; reload still checks.")
]


UNCHECKED = "warning: not checked; reload refuses what the hub cannot run with"


@dataclass(frozen=True)
class Edited:
    """What an edit did to a key."""

    key: str
    what: str
    value: Any
    is_change: bool
    findings: tuple[Finding, ...] = ()
    was_checked: bool = True

    @property
    def notes(self) -> list[str]:
        notes = [] if self.was_checked else [UNCHECKED]
        return [*notes, *(finding.as_text("warning") for finding in self.findings)]

    def as_text(self) -> str:
        if not self.is_change:
            return self.what
        return f"{self.what}\nTo apply it: sudo tljh-config reload"

    def as_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "value": self.value,
            "changed": self.is_change,
            "findings": [finding.as_json() for finding in self.findings],
        }


def set_value(
    key: KeyArgument,
    value: ValueArgument = None,
    *,
    stdin: StdinOption = False,
    no_validate: NoValidateOption = False,
    config_path: Path | None = None,
) -> Edited:
    """Set a key to a value, read by the type of the setting; a list or a map is YAML."""
    from tljh.settings.command_line_values import read_value

    file = installed_file(config_path)
    path, shape = _known(file, key, no_validate)
    name = key_text(path)
    wanted = read_value(_given(value, stdin, name), shape, name)
    above = file.shape_at(path[:-1]) if len(path) > 1 else None
    if above is not None and above.may_be_file and path[-1] == "file":
        # The file that a trait is read from comes in the place of its value.
        path, wanted = path[:-1], {"file": wanted}
    changed = _change(file, path, lambda text: set_in_text(text, path, wanted), no_validate)
    shown = flow_text(hidden(wanted, path))
    if not changed.is_change:
        return _edited(path, f"{name} is {shown} already", None, changed, no_validate)
    return _edited(path, f"{name} = {shown}", hidden(wanted, path), changed, no_validate)


def unset(
    key: KeyArgument,
    *,
    no_validate: NoValidateOption = False,
    config_path: Path | None = None,
) -> Edited:
    """Remove a key from the file, so that its default holds."""
    file = installed_file(config_path)
    path = file.parse_key(key)

    def edit(text: str) -> str:
        if _value(text, path) is _MISSING:
            file.look_up(key)
            raise TljhError(
                f"{key_text(path)} is not set in {file.path}",
                fix="see what is: sudo tljh-config show",
            )
        return unset_value(text, path)

    changed = _change(file, path, edit, no_validate)
    return _edited(path, f"{key_text(path)} is no longer set", None, changed, no_validate)


def add_item(
    key: KeyArgument,
    value: ItemArgument = None,
    *,
    stdin: StdinOption = False,
    no_validate: NoValidateOption = False,
    config_path: Path | None = None,
) -> Edited:
    """Add an item to the end of a list; one that is there already is not added again."""
    from tljh.settings.command_line_values import read_item

    file = installed_file(config_path)
    path, shape = _known(file, key, no_validate)
    name = key_text(path)
    _must_be_list(shape, name)
    item = read_item(_given(value, stdin, name), shape, name)

    def edit(text: str) -> str:
        found = _value(text, path)
        if isinstance(found, list):
            return text if item in found else add_to_text(text, path, item)
        if found is _MISSING or found is None:
            # A setting that has a default list keeps it and gets one more.
            return set_in_text(text, path, [*(_default(file, path) or []), item])
        raise TljhError(
            f"{name} holds no list but {flow_text(hidden(found, path))}",
            fix=f"sudo tljh-config set {name} '{flow_text([found])}'",
        )

    changed = _change(file, path, edit, no_validate)
    shown = flow_text(hidden(item, (*path, 0)))
    what = f"{name} has {shown} now" if changed.is_change else f"{name} has {shown} already"
    return _edited(path, what, hidden(item, (*path, 0)), changed, no_validate)


def remove_item(
    key: KeyArgument,
    value: ItemArgument = None,
    *,
    stdin: StdinOption = False,
    no_validate: NoValidateOption = False,
    config_path: Path | None = None,
) -> Edited:
    """Remove an item from a list."""
    from tljh.settings.command_line_values import read_item

    file = installed_file(config_path)
    path, shape = _known(file, key, True)
    name = key_text(path)
    given = _given(value, stdin, name)

    def edit(text: str) -> str:
        found = _value(text, path)
        items = found if isinstance(found, list) else []
        position = _position(items, given, lambda: read_item(given, shape, name))
        if position is None:
            have = ", ".join(flow_text(hidden(one, (*path, 0))) for one in items[:10])
            raise TljhError(
                f"{name} has no item {given}",
                why=f"it has {have}" if items else "it is empty",
                fix=f"sudo tljh-config get {name}",
            )
        return remove_from_text(text, path, position)

    changed = _change(file, path, edit, no_validate)
    shown = flow_text(hidden(given, (*path, 0)))
    return _edited(path, f"{name} no longer has {shown}", None, changed, no_validate)


def _position(items: list[Any], given: str, read: Callable[[], Any]) -> int | None:
    """Where the item stands: as it was typed, or as what was typed reads."""
    if given in items:
        return items.index(given)
    # A name that YAML takes for a number is found by the word for it.
    spelled = [flow_text(one).strip("'\"") for one in items]
    if given in spelled:
        return spelled.index(given)
    try:
        wanted = read()
    except TljhError:
        return None
    return items.index(wanted) if wanted in items else None


class _Missing:
    pass


_MISSING = _Missing()


def _value(text: str, path: KeyPath) -> Any:
    root = parse(text).root
    if root is None:
        return _MISSING
    _, node, depth = root.find(path)
    return node.value() if depth == len(path) else _MISSING


def _default(file: ConfigFile, path: KeyPath) -> Any:
    from tljh.settings.keys import default_at
    from tljh.settings.root import Config

    return default_at(Config, path)


def _known(file: ConfigFile, key: str, any_key: bool) -> tuple[KeyPath, Shape]:
    if not any_key:
        return file.look_up(key)
    from tljh.settings.shape import ANYTHING

    path = file.parse_key(key)
    return path, file.shape_at(path) or ANYTHING


def _must_be_list(shape: Shape, name: str) -> None:
    if shape.kind not in ("list", "any"):
        raise TljhError(
            f"{name} is not a list but {shape.description()}",
            fix=f"sudo tljh-config set {name} VALUE",
        )


def _given(value: str | None, stdin: bool, name: str) -> str:
    if stdin and value is None:
        text = sys.stdin.read()
        return text.removesuffix("\n").removesuffix("\r")
    if value is None or stdin:
        what = "both a value and --stdin are given" if stdin else "no value is given"
        raise TljhError(
            f"{what} for {name}",
            fix="give VALUE, or --stdin to read it from standard input",
            exit_code=Exit.USAGE,
        )
    return value


def _change(
    file: ConfigFile, path: KeyPath, edit: Callable[[str], str], no_validate: bool
) -> FileEdit:
    return file.change(edit, key_path=path, validate=not no_validate)


def _edited(path: KeyPath, what: str, value: Any, changed: FileEdit, no_validate: bool) -> Edited:
    return Edited(
        key_text(path), what, value, changed.is_change, changed.notes, was_checked=not no_validate
    )
