"""Edits of single settings: a key and the text of a value, as typed on a command line.

Every function raises TljhError for an unknown key, a value of the wrong type, and an edit that
would add a mistake; config.yaml is then as it was. With `validate` false only the text is edited.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import get_paths
from tljh.operations.effective_traits import read_effective_trait
from tljh.settings.config_file import ConfigFile
from tljh.settings.keys import format_key
from tljh.settings.redaction import redact
from tljh.settings.yaml_changes import MISSING, read_value_at
from tljh.settings.yaml_edit import add_item as add_to_text
from tljh.settings.yaml_edit import remove_item as remove_from_text
from tljh.settings.yaml_edit import set_value, unset_value
from tljh.settings.yaml_text import format_flow

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
    name = format_key(path)
    value = read_value(text, shape, name)
    section = file.find_shape_at(path[:-1]) if len(path) > 1 else None
    if section is not None and section.may_be_file and path[-1] == "file":
        # `….client_secret.file` replaces the secret by the name of a file that holds it.
        path, value = path[:-1], {"file": value}
    file_edit = file.change(
        lambda old: set_value(old, path, value), key_path=path, validate=validate
    )
    return KeyEdit(format_key(path), redact(value, path), file_edit.is_change, file_edit.notes)


def unset_key(file: ConfigFile, key: str, *, validate: bool = True) -> KeyEdit:
    """Remove a key from the file, so that its default applies."""
    path = file.parse_key(key)

    def edit(text: str) -> str:
        if read_value_at(text, path) is MISSING:
            file.look_up(key)
            raise TljhError(
                f"{format_key(path)} is not set in {file.path}",
                fix="see what is set: sudo tljh-config show",
            )
        return unset_value(text, path)

    file_edit = file.change(edit, key_path=path, validate=validate)
    return KeyEdit(format_key(path), None, file_edit.is_change, file_edit.notes)


def add_item(file: ConfigFile, key: str, text: str, *, validate: bool = True) -> KeyEdit:
    """Add an item to the end of a list, unless the list has it.

    If the file does not set the list, its default items come first.
    """
    from tljh.settings.command_line_values import read_item

    path, shape = _look_up(file, key, validate)
    name = format_key(path)
    if shape.kind not in ("list", "any"):
        raise TljhError(
            f"{name} is not a list but {shape.describe()}",
            fix=f"sudo tljh-config set {quote(name)} VALUE",
        )
    item = read_item(text, shape, name)

    def edit(old: str) -> str:
        items = read_value_at(old, path)
        if isinstance(items, list):
            return old if item in items else add_to_text(old, path, item)
        if items is MISSING or items is None:
            return set_value(old, path, [*(_get_default(file, path) or []), item])
        raise TljhError(
            f"{name} is not a list but {format_flow(redact(items, path))}",
            fix=f"sudo tljh-config set {quote(name)} {quote(format_flow([items]))}",
        )

    file_edit = file.change(edit, key_path=path, validate=validate)
    return KeyEdit(name, redact(item, (*path, 0)), file_edit.is_change, file_edit.notes)


def remove_item(file: ConfigFile, key: str, text: str, *, validate: bool = True) -> KeyEdit:
    """Remove an item from a list."""
    from tljh.settings.command_line_values import read_item

    # Also from a list that is not a setting: a mistake must be removable.
    path, shape = _look_up(file, key, validate=False)
    name = format_key(path)

    def edit(old: str) -> str:
        value = read_value_at(old, path)
        items = value if isinstance(value, list) else []
        position = _find_position(items, text, lambda: read_item(text, shape, name))
        if position is None:
            listed = (format_flow(redact(item, (*path, 0))) for item in items[:MAX_LISTED_ITEMS])
            if _is_own_item(file, path, text):
                raise TljhError(
                    f"{text} is an item of {name} that tljh adds itself",
                    why="items in config.yaml are added to tljh's own",
                    fix=f"to have none of them: sudo tljh-config set {quote(name)} '[]'",
                )
            raise TljhError(
                f"{name} has no item {text}",
                why=f"it has {', '.join(listed)}" if items else "it is empty",
                fix=f"sudo tljh-config get {quote(name)}",
            )
        return remove_from_text(old, path, position)

    file_edit = file.change(edit, key_path=path, validate=validate)
    return KeyEdit(name, redact(text, (*path, 0)), file_edit.is_change, file_edit.notes)


def _is_own_item(file: ConfigFile, path: KeyPath, text: str) -> bool:
    value = read_effective_trait(file.examine().config, get_paths(), path)
    return isinstance(value, list) and text in map(str, value)


def _find_position(items: list[Any], text: str, read: Callable[[], Any]) -> int | None:
    """Return the index of an item that is written as `text`, or equals `text` when parsed."""
    if text in items:
        return items.index(text)
    # An unquoted name of digits is a number in YAML; it is found by how it is written.
    written = [format_flow(item).strip("'\"") for item in items]
    if text in written:
        return written.index(text)
    try:
        value = read()
    except TljhError:
        return None
    return items.index(value) if value in items else None


def _get_default(file: ConfigFile, path: KeyPath) -> Any:
    from tljh.settings.keys import get_default

    return get_default(file.model, path)


def _look_up(file: ConfigFile, key: str, validate: bool) -> tuple[KeyPath, Shape]:
    if validate:
        return file.look_up(key)
    from tljh.settings.shape import ANYTHING

    path = file.parse_key(key)
    return path, file.find_shape_at(path) or ANYTHING
