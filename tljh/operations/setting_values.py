"""Values of settings: those in config.yaml, or those in effect, with secrets masked."""

from __future__ import annotations

from shlex import quote
from typing import Any

from tljh.base.errors import TljhError
from tljh.base.paths import get_paths
from tljh.operations.effective_traits import read_effective_trait
from tljh.settings.config_file import ConfigFile
from tljh.settings.keys import format_key
from tljh.settings.redaction import redact
from tljh.settings.yaml_changes import MISSING, read_value_at


def read_written_value(file: ConfigFile, key: str, *, reveal: bool = False) -> Any:
    """Return the value that config.yaml has at a key. Raises TljhError if it has none."""
    path = file.parse_key(key)
    value = read_value_at(file.document().text, path)
    if value is MISSING:
        file.look_up(key)
        raise TljhError(
            f"{format_key(path)} is not set in {file.path}, so its default applies",
            fix=f"see it: sudo tljh-config get {quote(key)}",
        )
    return value if reveal else redact(value, path)


def read_effective_value(file: ConfigFile, key: str = "", *, reveal: bool = False) -> Any:
    """Return the value in effect at a key, defaults included; without a key, all of them.

    Values are as the schema normalizes them: 4G for 4GB. Lists and maps of classes include what
    tljh itself puts into them. Raises TljhError for a wrong file.
    """
    examined = file.examine()
    findings = examined.findings("error")
    if findings:
        raise TljhError(findings)
    values: Any = examined.config.model_dump(mode="json")
    path = file.parse_key(key) if key else ()
    trait = read_effective_trait(examined.config, get_paths(), path)
    if trait is not MISSING:
        return trait if reveal else redact(trait, path)
    for step in path:
        if not isinstance(values, dict) or step not in values:
            raise TljhError(
                f"{format_key(path)} is not set", fix=f"tljh-config describe {quote(key)}"
            )
        values = values[step]
    return values if reveal else redact(values, path)
