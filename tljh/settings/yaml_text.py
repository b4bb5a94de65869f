"""Values written as YAML, so that no reader can take them for another value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tljh.settings.yaml_tree import WORDS_FOR_BOOL, resolve

_WORD = r"[A-Za-z0-9_./@+~=-]"


_PLAIN = re.compile(rf"^[A-Za-z0-9_./]{_WORD}*(:{_WORD}+)*( {_WORD}+)*$")


# Tools for YAML 1.1 read these as dates, base-60 numbers or numbers with separators.
_MISREAD = re.compile(r"^[-+]?[0-9][0-9_]*([:_][0-9_:.]+)*$|^\d{4}-\d\d?-\d\d?|^[0-9.]+[eE]")


INDENT = "  "


def format_scalar(value: Any, *, style: str = "") -> str:
    """Return a single value as YAML on one line; quoted where it could be misread.

    `style` is the quote that the text had before.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value) if abs(value) != float("inf") else str(value).replace("inf", ".inf")
    text = str(value)
    if not text.isprintable() or text == "\ufeff":
        return '"' + "".join(_escape(character) for character in text) + '"'
    is_plain = (
        _PLAIN.match(text)
        and not _MISREAD.match(text)
        and isinstance(resolve(text), str)
        and text.lower() not in WORDS_FOR_BOOL
    )
    if style == '"' and "\\" not in text and '"' not in text:
        return f'"{text}"'
    return text if is_plain and style != "'" else "'" + text.replace("'", "''") + "'"


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable() and character != "\ufeff":
        return character
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    code = ord(character)
    if named or code < 256:
        return named or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def convert_to_yaml(value: Any) -> Any:
    """Return a value that a plugin set, with every collection as a YAML map or list."""
    if isinstance(value, Mapping):
        return {key: convert_to_yaml(inner) for key, inner in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((convert_to_yaml(item) for item in value), key=str)
    return [convert_to_yaml(item) for item in value] if isinstance(value, (list, tuple)) else value


def format_flow(value: Any) -> str:
    """Return any value as YAML on one line."""
    if isinstance(value, dict):
        inner = ", ".join(f"{format_scalar(k)}: {format_flow(v)}" for k, v in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(format_flow(item) for item in value)}]"
    return format_scalar(value)


def format_block(value: Any, indent: str = "") -> list[str]:
    """Return a map or list as lines of YAML; empty collections in it stay on their line."""
    lines: list[str] = []
    if isinstance(value, dict):
        for key, inner in value.items():
            name = format_scalar(key)
            if isinstance(inner, (dict, list)) and inner:
                lines += [f"{indent}{name}:", *format_block(inner, indent + INDENT)]
            else:
                lines.append(f"{indent}{name}: {format_flow(inner)}")
    else:
        lines += [f"{indent}- {format_flow(item)}" for item in value]
    return lines
