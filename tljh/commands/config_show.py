"""`tljh-config show` and `get`: what is configured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tljh.base.errors import TljhError
from tljh.commands.key_completion import KeyArgument
from tljh.commands.parameters import Option
from tljh.operations.installed_config import installed_file
from tljh.settings.config_file import ConfigFile
from tljh.settings.keys import key_text
from tljh.settings.redaction import hidden, hidden_text
from tljh.settings.yaml_edit import block_lines, flow_text


@dataclass(frozen=True)
class Shown:
    """Settings as text and as values."""

    text: str
    values: Any
    notes: tuple[str, ...] = ()

    def as_text(self) -> str:
        return self.text.rstrip("\n")

    def as_json(self) -> Any:
        return self.values


Reveal = Annotated[bool, Option("--reveal", "Show secrets, too.")]


def show(
    key: KeyArgument = "",
    *,
    all: Annotated[bool, Option("--all", "Show defaults, too.")] = False,
    reveal: Reveal = False,
    config_path: Path | None = None,
) -> Shown:
    """Show the configuration, or what stands below a key; secrets are hidden."""
    file = installed_file(config_path)
    if all:
        return _show_all(file, key, reveal)
    document = file.document()
    values = document.root.value() if document.root else {}
    if key:
        path = file.parse_key(key)
        _, node, depth = document.root.find(path) if document.root else (None, None, 0)
        if node is None or depth < len(path):
            file.look_up(key)
            raise TljhError(
                f"{key_text(path)} is not set in {file.path}, so its default holds",
                fix=f"see it: sudo tljh-config get {key}",
            )
        value = node.value() if reveal else hidden(node.value(), path)
        return Shown(yaml_text(value), value)
    text = document.text if reveal else hidden_text(document)
    notes = () if text.strip() else ("nothing is set, so the defaults hold: show --all",)
    return Shown(text, values if reveal else hidden(values), notes)


def get(
    key: KeyArgument,
    *,
    reveal: Reveal = False,
    config_path: Path | None = None,
) -> Shown:
    """Print one setting as it holds, the default where the file has nothing."""
    file = installed_file(config_path)
    file.look_up(key)
    return _show_all(file, key, reveal)


def _show_all(file: ConfigFile, key: str, reveal: bool) -> Shown:
    examined = file.examine()
    findings = examined.findings("error")
    if findings:
        raise TljhError(findings)
    # What the schema normalises (4GB) is shown as it holds (4G).
    values: Any = examined.config.model_dump(mode="json")
    path = file.parse_key(key) if key else ()
    for step in path:
        if not isinstance(values, dict) or step not in values:
            raise TljhError(f"{key_text(path)} is not set", fix=f"tljh-config describe {key}")
        values = values[step]
    if not reveal:
        values = hidden(values, path)
    return Shown(yaml_text(values), values)


def yaml_text(value: Any) -> str:
    """A value for people: one word as it is, lists and maps as YAML."""
    if isinstance(value, str):
        return value
    if isinstance(value, (dict, list)) and value:
        return "\n".join(block_lines(value))
    return flow_text(value)
