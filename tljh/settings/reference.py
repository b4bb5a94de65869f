"""What is written about the settings, made from their declarations: page, schema, `describe`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from tljh.settings.declaration import Cost
from tljh.settings.keys import key_text
from tljh.settings.shape import Shape, shape_of, walk
from tljh.settings.yaml_edit import flow_text

if TYPE_CHECKING:
    from tljh.settings.trait_catalogue import Trait

_COSTS = {
    Cost.NOTHING: "nothing restarts",
    Cost.LIVE: "nothing restarts; running servers have it at once",
    Cost.PROXY_RELOAD: "the proxy hands over without losing a connection",
    Cost.HUB_RESTART: "the hub restarts, servers and requests live through it",
    Cost.NEXT_SPAWN: "it applies to servers that start from then on",
    Cost.REBUILD: "a new hub environment is built next to the old one",
    Cost.ENVIRONMENT: "the user environment is changed",
}


@dataclass(frozen=True)
class Described:
    """All that can be said about one setting."""

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
        lines.append(f"  default: {flow_text(self.default)}")
        if self.here:
            lines.append(f"  on this machine: {self.here}")
        if self.cost:
            lines.append(f"  changing it: {_COSTS[Cost(self.cost)]}")
        if self.is_secret:
            lines.append(f"  a secret: set it with tljh-config set {self.key} --stdin")
        elif self.example:
            lines.append(f"  example: sudo tljh-config {self.command}")
        return "\n".join(lines)

    @property
    def command(self) -> str:
        """How to set it to the example."""
        import shlex

        verb = "add-item" if self.type.startswith("list") else "set"
        return f"{verb} {self.key} {shlex.quote(self.example or '')}"


def type_text(shape: Shape) -> str:
    """The type of a setting in the words of the reference page."""
    if shape.kind == "list":
        inner = type_text(shape.item) if shape.item else "anything"
        return f"list of {inner}"
    if shape.kind == "map":
        inner = type_text(shape.item) if shape.item else "anything"
        return f"map of names to {inner}"
    if shape.kind == "any":
        return "anything"
    text = shape.description().removeprefix("a ")
    return f"{text}, or null" if shape.nullable else text


def described(path: tuple[str, ...], shape: Shape) -> Described:
    """Read a description off a declaration."""
    key = key_text(path)
    info = shape.declaration
    assert info is not None, key
    if shape.kind == "section":
        return Described(key, info.description or "", "section", is_section=True)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    examples = extra.get("examples")
    return Described(
        key,
        info.description or "",
        type_text(shape),
        info.get_default(call_default_factory=True),
        str(extra["cost"]),
        str(examples[0]) if isinstance(examples, list) else None,
        shape.secret,
    )


def described_trait(key: str, trait: Trait) -> Described:
    """The same for a trait of a class in the hub's environment."""
    return Described(
        key,
        trait.help or f"A trait of {trait.owner}.",
        trait.info,
        trait.default,
        Cost.HUB_RESTART.value,
        is_secret=trait.shape.secret,
    )


def all_settings(model: type[BaseModel]) -> Iterator[Described]:
    """Every setting and section, in the order of declaration."""
    for path, shape in walk(shape_of(model)):
        yield described(path, shape)


def json_schema(model: type[BaseModel], sections: Iterable[str] = ()) -> dict[str, Any]:
    """The JSON Schema that editors use to complete and check config.yaml.

    `sections` are names of plugins' sections, in which anything may stand.
    """
    schema = model.model_json_schema()
    schema["properties"] |= {name: {"description": "A plugin's section."} for name in sections}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def json_schema_text(model: type[BaseModel]) -> str:
    return json.dumps(json_schema(model), indent=2, ensure_ascii=False) + "\n"


_HEAD = """\
# Settings

<!-- Made from the declarations by `make reference`; a test fails when it is stale. -->

Everything that `config.yaml` can hold. Show what is set with `sudo tljh-config show`, change it
with `sudo tljh-config set KEY VALUE` (`add-item` and `remove-item` for lists), and apply it with
`sudo tljh-config reload`. `tljh-config describe KEY` prints the same as this page, and
`tljh-config schema` prints the [JSON Schema](config.schema.json) for editors.

In addition to these, `auth.<Class>.<trait>` and sections named after a class, such as
`JupyterHub: {active_server_limit: 50}` at the top level, set traits of the classes that are
installed in the hub environment. Unknown classes, unknown traits and values that a trait does
not take are refused. In the place of a secret, `{file: /path}` names a file that holds it.
`plugins.sections` allows the sections of plugins.
"""


def reference_page(model: type[BaseModel]) -> str:
    """docs/reference/configuration.md, as it should be."""
    parts = [_HEAD]
    section = ""
    for one in all_settings(model):
        top = one.key.partition(".")[0]
        if one.is_section:
            level = "##" if "." not in one.key else "###"
            parts.append(f"{level} {one.key}\n\n{one.help}\n")
            section = top
            continue
        if "." not in one.key or top != section:
            section = top
            parts.append(f"## {one.key}\n")
        else:
            parts.append(f"#### `{one.key}`\n")
        parts.append(_setting_text(one))
    return "\n".join(parts)


def _setting_text(one: Described) -> str:
    rows = [one.help, "", f"- Type: {one.type}", f"- Default: `{flow_text(one.default)}`"]
    if one.cost:
        rows.append(f"- Changing it: {_COSTS[Cost(one.cost)]}")
    if one.is_secret:
        rows.append("- Secret: hidden by `show`; set it with `--stdin`")
    elif one.example:
        rows.append(f"- Example: `sudo tljh-config {one.command}`")
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
        ("configuration.md", reference_page(Config)),
        ("config.schema.json", json_schema_text(Config)),
    ):
        info = host.info(directory)
        owner = (info.owner, info.group) if info else ("root", "root")
        host.write(directory / name, text.encode(), mode=0o644, owner=owner[0], group=owner[1])


if __name__ == "__main__":
    main()
