"""Settings that a release renamed or removed, and the rewriting of a config.yaml that has them.

The schema is closed, so an old key would be refused. An upgrade rewrites it, with a comment that
says what it was. A row stays for as long as a release may be upgraded from that had the old key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tljh.base.errors import TljhError
from tljh.settings.keys import format_key
from tljh.settings.redaction import redact
from tljh.settings.yaml_changes import MISSING, read_value_at
from tljh.settings.yaml_edit import set_value, unset_value
from tljh.settings.yaml_parse import parse
from tljh.settings.yaml_text import format_flow

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath


@dataclass(frozen=True)
class Migration:
    """A setting that `release` renamed to `new`, or removed if that is None.

    `why` ends the sentence in plans and comments: what to use in place of a removed setting.
    """

    release: str
    old: KeyPath
    new: KeyPath | None = None
    why: str = ""

    def __str__(self) -> str:
        what = f"renamed to {format_key(self.new)}" if self.new else "removed"
        reason = f": {self.why}" if self.why else ""
        return f"{format_key(self.old)} was {what} in tljh {self.release}{reason}"


# Oldest release first: a setting that was renamed twice goes through both rows.
MIGRATIONS: tuple[Migration, ...] = ()


@dataclass(frozen=True)
class MigratedText:
    """A config.yaml after the migrations that applied to it; `diff` has no secrets."""

    text: str
    applied: tuple[Migration, ...] = ()
    diff: tuple[str, ...] = ()


def migrate_settings(text: str, migrations: Sequence[Migration] | None = None) -> MigratedText:
    """Rewrite the old keys of a config.yaml; a text without any is returned unchanged.

    Where the file has the new key already, that one counts and the old one becomes a comment.
    """
    applied: list[Migration] = []
    diff: list[str] = []
    for migration in MIGRATIONS if migrations is None else migrations:
        value = read_value_at(text, migration.old)
        if value is MISSING:
            continue
        text = _apply(text, migration, value)
        applied.append(migration)
        diff.append(f"- {_format_line(migration.old, value)}")
        if migration.new:
            after = read_value_at(text, migration.new)
            diff.append(f"+ {_format_line(migration.new, after)}")
    return MigratedText(text, tuple(applied), tuple(diff))


def migrate_configuration(data: bytes) -> bytes:
    """Return the content of a config.yaml with its old keys rewritten.

    A content that is no valid YAML is returned as it is: reading it reports the place.
    """
    try:
        migrated = migrate_settings(data.decode())
    except (TljhError, UnicodeDecodeError):
        return data
    return migrated.text.encode() if migrated.applied else data


def find_migration(path: KeyPath) -> Migration | None:
    """Return the migration of an old key, or of a key below it; None for any other."""
    for migration in MIGRATIONS:
        if tuple(path[: len(migration.old)]) == migration.old:
            return migration
    return None


def _format_line(path: KeyPath, value: Any) -> str:
    return f"{format_key(path)}: {format_flow(redact(value, path))}"


def _apply(text: str, migration: Migration, value: Any) -> str:
    is_taken = migration.new is not None and read_value_at(text, migration.new) is not MISSING
    if migration.new is not None and not is_taken:
        renamed = _rename_in_place(text, migration.old, migration.new)
        if renamed != text and read_value_at(renamed, migration.new) == value:
            return _insert_comment(renamed, _find_line(text, migration.old), f"# {migration}")
    if migration.new is None or is_taken:
        return replace_by_comment(text, migration.old, str(migration))
    text = set_value(unset_value(text, migration.old), migration.new, value)
    return _insert_comment(text, _find_line(text, migration.new), f"# {migration}")


def replace_by_comment(text: str, path: KeyPath, why: str) -> str:
    """Return the text of a config.yaml with a comment in place of a setting.

    The comment has `why` and the old value, unless that is a secret.
    """
    line, value = _find_line(text, path), read_value_at(text, path)
    note = f"# {why}; it was {format_flow(redact(value, path))}"
    return _insert_comment(unset_value(text, path), line, note)


def _rename_in_place(text: str, old: KeyPath, new: KeyPath) -> str:
    """Return the text with another name for a key of the same section, comments kept.

    Returns it unchanged where that is not possible: another section, or a key that a merge (<<)
    brings.
    """
    root = parse(text).root
    if root is None or old[:-1] != new[:-1]:
        return text
    _, section, _ = root.find(old[:-1])
    for key, _ in section.entries:
        if key.raw == old[-1]:
            return text[: key.start.index] + str(new[-1]) + text[key.end.index :]
    return text


def _find_line(text: str, path: KeyPath) -> int:
    """Return the number of lines before the one that has the key at a path."""
    root = parse(text).root
    assert root is not None
    key, _, _ = root.find(path)
    return int(key.start.line) - 1


def _insert_comment(text: str, line: int, note: str) -> str:
    lines = text.splitlines(keepends=True)
    line = min(line, len(lines))
    below = lines[line] if line < len(lines) else ""
    indent = below[: len(below) - len(below.lstrip(" "))]
    newline = "\r\n" if "\r\n" in text else "\n"
    if lines and line == len(lines) and not lines[-1].endswith("\n"):
        lines[-1] += newline
    return "".join([*lines[:line], f"{indent}{note}{newline}", *lines[line:]])
