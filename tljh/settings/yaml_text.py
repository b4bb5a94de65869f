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


def scalar_text(value: Any, *, style: str = "") -> str:
    """Return one value on one line; text is quoted where a reader could take it for another value.

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
        return '"' + "".join(_escaped(character) for character in text) + '"'
    is_plain = (
        _PLAIN.match(text)
        and not _MISREAD.match(text)
        and isinstance(resolve(text), str)
        and text.lower() not in WORDS_FOR_BOOL
    )
    if style == '"' and "\\" not in text and '"' not in text:
        return f'"{text}"'
    return text if is_plain and style != "'" else "'" + text.replace("'", "''") + "'"


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable() and character != "\ufeff":
        return character
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    code = ord(character)
    if named or code < 256:
        return named or f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def as_yaml(value: Any) -> Any:
    """Return a value of a plugin's code with every collection as a map or a list."""
    if isinstance(value, Mapping):
        return {key: as_yaml(inner) for key, inner in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((as_yaml(item) for item in value), key=str)
    return [as_yaml(item) for item in value] if isinstance(value, (list, tuple)) else value


def flow_text(value: Any) -> str:
    """Return any value on one line."""
    if isinstance(value, dict):
        inner = ", ".join(f"{scalar_text(k)}: {flow_text(v)}" for k, v in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(flow_text(item) for item in value)}]"
    return scalar_text(value)


def block_lines(value: Any, indent: str = "") -> list[str]:
    """Return a map or a list over several lines; empty collections in it stay on their line."""
    lines: list[str] = []
    if isinstance(value, dict):
        for key, inner in value.items():
            name = scalar_text(key)
            if isinstance(inner, (dict, list)) and inner:
                lines += [f"{indent}{name}:", *block_lines(inner, indent + INDENT)]
            else:
                lines.append(f"{indent}{name}: {flow_text(inner)}")
    else:
        lines += [f"{indent}- {flow_text(item)}" for item in value]
    return lines
