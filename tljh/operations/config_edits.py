"""Edits of single settings: a key and the text of a value, as typed on a command line.

Every function raises TljhError for an unknown key, a value of the wrong type, and an edit that
would add a mistake; config.yaml is then as it was. With `validate` false only the text is edited.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tljh.base.errors import Finding, TljhError
from tljh.settings.config_file import ConfigFile
from tljh.settings.keys import key_text
from tljh.settings.redaction import hidden
from tljh.settings.yaml_changes import MISSING, value_at
from tljh.settings.yaml_edit import add_item as add_to_text
from tljh.settings.yaml_edit import remove_item as remove_from_text
from tljh.settings.yaml_edit import set_value, unset_value
from tljh.settings.yaml_text import flow_text

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath
    from tljh.settings.shape import Shape

# More items than this are not listed in an error.
MAX_LISTED_ITEMS = 10


@dataclass(frozen=True)
class KeyEdit:
    """An edited key. `value` is the new value or the item, with secrets masked.

    `findings` are warnings: what is still missing before the setting works.
    """

    key: str
    value: Any
    is_change: bool
    findings: tuple[Finding, ...]


def set_key(file: ConfigFile, key: str, text: str, *, validate: bool = True) -> KeyEdit:
    """Set a key to a value, read by the type of the setting; a list or a map is YAML."""
    from tljh.settings.command_line_values import read_value

    path, shape = _look_up(file, key, validate)
    name = key_text(path)
    value = read_value(text, shape, name)
    section = file.shape_at(path[:-1]) if len(path) > 1 else None
    if section is not None and section.may_be_file and path[-1] == "file":
        # `….client_secret.file` replaces the secret by the name of a file that holds it.
        path, value = path[:-1], {"file": value}
    file_edit = file.change(
        lambda old: set_value(old, path, value), key_path=path, validate=validate
    )
    return KeyEdit(key_text(path), hidden(value, path), file_edit.is_change, file_edit.notes)


def unset_key(file: ConfigFile, key: str, *, validate: bool = True) -> KeyEdit:
    """Remove a key from the file, so that its default applies."""
    path = file.parse_key(key)

    def edit(text: str) -> str:
        if value_at(text, path) is MISSING:
            file.look_up(key)
            raise TljhError(
                f"{key_text(path)} is not set in {file.path}",
                fix="see what is set: sudo tljh-config show",
            )
        return unset_value(text, path)

    file_edit = file.change(edit, key_path=path, validate=validate)
    return KeyEdit(key_text(path), None, file_edit.is_change, file_edit.notes)


def add_item(file: ConfigFile, key: str, text: str, *, validate: bool = True) -> KeyEdit:
    """Add an item to the end of a list, unless the list has it; a default list is kept."""
    from tljh.settings.command_line_values import read_item

    path, shape = _look_up(file, key, validate)
    name = key_text(path)
    if shape.kind not in ("list", "any"):
        raise TljhError(
            f"{name} is not a list but {shape.description()}",
            fix=f"sudo tljh-config set {name} VALUE",
        )
    item = read_item(text, shape, name)

    def edit(old: str) -> str:
        items = value_at(old, path)
        if isinstance(items, list):
            return old if item in items else add_to_text(old, path, item)
        if items is MISSING or items is None:
            return set_value(old, path, [*(_default(path) or []), item])
        raise TljhError(
            f"{name} is not a list but {flow_text(hidden(items, path))}",
            fix=f"sudo tljh-config set {name} '{flow_text([items])}'",
        )

    file_edit = file.change(edit, key_path=path, validate=validate)
    return KeyEdit(name, hidden(item, (*path, 0)), file_edit.is_change, file_edit.notes)


def remove_item(file: ConfigFile, key: str, text: str, *, validate: bool = True) -> KeyEdit:
    """Remove an item from a list."""
    from tljh.settings.command_line_values import read_item

    # Also from a list that is not a setting: a mistake must be removable.
    path, shape = _look_up(file, key, validate=False)
    name = key_text(path)

    def edit(old: str) -> str:
        value = value_at(old, path)
        items = value if isinstance(value, list) else []
        position = _position(items, text, lambda: read_item(text, shape, name))
        if position is None:
            listed = (flow_text(hidden(item, (*path, 0))) for item in items[:MAX_LISTED_ITEMS])
            raise TljhError(
                f"{name} has no item {text}",
                why=f"it has {', '.join(listed)}" if items else "it is empty",
                fix=f"sudo tljh-config get {name}",
            )
        return remove_from_text(old, path, position)

    file_edit = file.change(edit, key_path=path, validate=validate)
    return KeyEdit(name, hidden(text, (*path, 0)), file_edit.is_change, file_edit.notes)


def _position(items: list[Any], text: str, read: Callable[[], Any]) -> int | None:
    """Return the index of the item that is written as `text`, or that `text` reads as."""
    if text in items:
        return items.index(text)
    # An unquoted name of digits is a number in YAML; it is found by how it is written.
    written = [flow_text(item).strip("'\"") for item in items]
    if text in written:
        return written.index(text)
    try:
        value = read()
    except TljhError:
        return None
    return items.index(value) if value in items else None


def _default(path: KeyPath) -> Any:
    from tljh.settings.keys import default_at
    from tljh.settings.root import Config

    return default_at(Config, path)


def _look_up(file: ConfigFile, key: str, validate: bool) -> tuple[KeyPath, Shape]:
    if validate:
        return file.look_up(key)
    from tljh.settings.shape import ANYTHING

    path = file.parse_key(key)
    return path, file.shape_at(path) or ANYTHING
