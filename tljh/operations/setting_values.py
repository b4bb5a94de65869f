"""Values of settings: those in config.yaml, or those in effect, with secrets masked."""

from __future__ import annotations

from typing import Any

from tljh.base.errors import TljhError
from tljh.settings.config_file import ConfigFile
from tljh.settings.keys import key_text
from tljh.settings.redaction import hidden
from tljh.settings.yaml_changes import MISSING, value_at


def set_value_at(file: ConfigFile, key: str, *, reveal: bool = False) -> Any:
    """Return the value that config.yaml has at a key. Raises TljhError if it has none."""
    path = file.parse_key(key)
    value = value_at(file.document().text, path)
    if value is MISSING:
        file.look_up(key)
        raise TljhError(
            f"{key_text(path)} is not set in {file.path}, so its default applies",
            fix=f"see it: sudo tljh-config get {key}",
        )
    return value if reveal else hidden(value, path)


def effective_value(file: ConfigFile, key: str = "", *, reveal: bool = False) -> Any:
    """Return the value in effect at a key, defaults included; without a key, all of them.

    Values are as the schema normalizes them: 4G for 4GB. Raises TljhError for a wrong file.
    """
    examined = file.examine()
    findings = examined.findings("error")
    if findings:
        raise TljhError(findings)
    values: Any = examined.config.model_dump(mode="json")
    path = file.parse_key(key) if key else ()
    for step in path:
        if not isinstance(values, dict) or step not in values:
            raise TljhError(f"{key_text(path)} is not set", fix=f"tljh-config describe {key}")
        values = values[step]
    return values if reveal else hidden(values, path)
