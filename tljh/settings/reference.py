"""Documentation of the settings from their declarations: page, JSON Schema, `describe`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tljh.settings.declaration import Cost
from tljh.settings.hub_options import find_option
from tljh.settings.keys import format_key
from tljh.settings.shape import Shape, derive_shape, walk
from tljh.settings.yaml_text import format_flow

if TYPE_CHECKING:
    from tljh.settings.trait_catalogue import Trait

# Stands for the name of a section of the admin's, such as a service.
PLACEHOLDER = "NAME"

COSTS = {
    Cost.NOTHING: "nothing restarts",
    Cost.LIVE: "nothing restarts; running servers get it at once",
    Cost.PROXY_RELOAD: "the proxy reloads without losing a connection",
    Cost.HUB_RESTART: "the hub restarts; servers keep running, and requests wait",
    Cost.NEXT_SPAWN: "servers get it when they start next",
    Cost.REBUILD: "a new hub environment is built next to the old one",
    Cost.ENVIRONMENT: "the user environment is changed",
}


@dataclass(frozen=True)
class SettingHelp:
    """The documentation of one setting; `here` is what a default amounts to on this machine."""

    key: str
    help: str
    type: str
    default: Any = None
    cost: str | None = None
    example: str | None = None
    is_secret: bool = False
    is_section: bool = False
    here: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "help": self.help,
            "type": self.type,
            "default": self.default,
            "cost": self.cost,
            "example": self.example,
            "secret": self.is_secret,
            "section": self.is_section,
            "here": self.here,
        }

    def as_text(self) -> str:
        lines = [self.key, f"  {self.help}"]
        if self.is_section:
            return "\n".join(lines)
        lines.append(f"  type: {self.type}")
        lines.append(f"  default: {format_flow(self.default)}")
        if self.here:
            lines.append(f"  on this machine: {self.here}")
        if self.cost:
            lines.append(f"  changing it: {COSTS[Cost(self.cost)]}")
        if self.is_secret:
            lines.append(f"  a secret: set it with tljh-config set {quote(self.key)} --stdin")
        elif self.example:
            lines.append(f"  example: sudo tljh-config {self.command}")
        return "\n".join(lines)

    @property
    def command(self) -> str:
        """The arguments of `tljh-config` that set it to the example."""
        verb = "add-item" if self.type.startswith("list") else "set"
        return f"{verb} {self.key} {quote(self.example or '')}"


def describe_type(shape: Shape) -> str:
    """Return the words for a setting's type on the reference page."""
    if shape.kind == "list":
        inner = describe_type(shape.item) if shape.item else "anything"
        return f"list of {inner}"
    if shape.kind == "map":
        inner = describe_type(shape.item) if shape.item else "anything"
        return f"map of names to {inner}"
    if shape.kind == "any":
        return "anything"
    text = shape.describe().removeprefix("a ")
    return f"{text}, or null" if shape.nullable else text


def describe_setting(path: tuple[str, ...], shape: Shape) -> SettingHelp:
    """Return the documentation of a setting, from its declaration."""
    key = format_key(path)
    info = shape.declaration
    assert info is not None, key
    if shape.kind == "section":
        return SettingHelp(key, info.description or "", "section", is_section=True)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    examples = extra.get("examples")
    return SettingHelp(
        key,
        info.description or "",
        describe_type(shape),
        default=info.get_default(call_default_factory=True),
        cost=str(extra["cost"]),
        example=str(examples[0]) if isinstance(examples, list) else None,
        is_secret=shape.secret,
    )


def describe_trait(key: str, trait: Trait) -> SettingHelp:
    """Return the documentation of a trait of an installed class."""
    section, _, name = key.rpartition(".")
    option = find_option(section.rpartition(".")[2], name)
    text = trait.help or f"A trait of {trait.owner}."
    if option is not None and option.is_refused:
        text = f"Cannot be set in config.yaml: {option.why}. Instead: {option.fix}"
    elif option is not None and option.setting is not None:
        text += f" The setting is {option.setting}."
    return SettingHelp(
        key,
        text,
        trait.info,
        default=trait.default,
        cost=Cost.HUB_RESTART.value,
        is_secret=trait.shape.secret,
    )


def describe_all(model: type[BaseModel]) -> Iterator[SettingHelp]:
    """Yield the documentation of every setting and section, in the order of the file."""
    own: list[tuple[tuple[str, ...], Shape]] = []
    for path, shape in walk(derive_shape(model)):
        if own and path[: len(own[0][0]) - 1] != own[0][0][:-1]:
            yield from _describe_own(own.pop())
        yield describe_setting(path, shape)
        if shape.others is not None:
            own.append(((*path, PLACEHOLDER), shape.others))
        elif shape.kind == "map" and shape.item is not None and len(path) == 1:
            yield from _describe_own(((*path, PLACEHOLDER), shape.item))


def _describe_own(section: tuple[tuple[str, ...], Shape]) -> Iterator[SettingHelp]:
    """Yield the documentation of the settings in a section that the admin names."""
    path, shape = section
    for name, below in shape.fields.items():
        yield describe_setting((*path, name), below)


def build_json_schema(model: type[BaseModel], sections: Iterable[str] = ()) -> dict[str, Any]:
    """Return the JSON Schema with which editors complete and check config.yaml.

    `sections` are names of plugins' sections, which may hold anything.
    """
    schema = model.model_json_schema()
    schema["properties"] |= {name: {"description": "A plugin's section."} for name in sections}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def format_json_schema(model: type[BaseModel]) -> str:
    return json.dumps(build_json_schema(model), indent=2, ensure_ascii=False) + "\n"


_HEAD = """\
# Settings

<!-- Generated from the declarations by `make reference`; a test fails when it is stale. -->

All settings of `config.yaml`. Show what is set with `sudo tljh-config show`, change it with
`sudo tljh-config set KEY VALUE` (`add-item` and `remove-item` for lists), and apply it with
`sudo tljh-config reload`. `tljh-config describe KEY` prints the same as this page, and
`tljh-config schema` prints the [JSON Schema](config.schema.json) for editors.

In addition, `auth.<Class>.<trait>`, and sections at the top level that are named after a class,
such as `JupyterHub: {active_server_limit: 50}`, set traits of the classes that are installed in
the hub environment; unknown classes, unknown traits and values that a trait does not accept are
refused. In place of a secret, `{file: /path}` names a file that holds it. A plugin's section is
allowed by `plugins.sections`.
"""


def format_reference_page(model: type[BaseModel]) -> str:
    """Return the content of docs/reference/configuration.md."""
    parts = [_HEAD]
    section = ""
    for setting in describe_all(model):
        top = setting.key.partition(".")[0]
        if setting.is_section:
            level = "##" if "." not in setting.key else "###"
            parts.append(f"{level} {setting.key}\n\n{setting.help}\n")
            section = top
            continue
        if "." not in setting.key or top != section:
            section = top
            parts.append(f"## {setting.key}\n")
        else:
            parts.append(f"#### `{setting.key}`\n")
        parts.append(_format_setting(setting))
    return "\n".join(parts)


def _format_setting(setting: SettingHelp) -> str:
    default = format_flow(setting.default)
    rows = [setting.help, "", f"- Type: {setting.type}", f"- Default: `{default}`"]
    if setting.cost:
        rows.append(f"- Changing it: {COSTS[Cost(setting.cost)]}")
    if setting.is_secret:
        rows.append("- Secret: hidden by `show`; set it with `--stdin`")
    elif setting.example:
        rows.append(f"- Example: `sudo tljh-config {setting.command}`")
    return "\n".join(rows) + "\n"


def main() -> None:
    """Write both files of the reference: python -m tljh.settings.reference docs/reference."""
    import sys
    from pathlib import Path

    from tljh.host.real import RealHost
    from tljh.settings.root import Config

    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference").absolute()
    host = RealHost()
    for name, text in (
        ("configuration.md", format_reference_page(Config)),
        ("config.schema.json", format_json_schema(Config)),
    ):
        info = host.info(directory)
        owner = (info.owner, info.group) if info else ("root", "root")
        host.write(directory / name, text.encode(), mode=0o644, owner=owner[0], group=owner[1])


if __name__ == "__main__":
    main()
