"""What settings are made of: declaring one, its cost, and the shape that values of it have.

A setting is declared once, as a field of a `Section`; validation, the command line's value
types, completion, `describe`, the reference page and the JSON Schema are read off it.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt
from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

Kind = Literal["text", "int", "number", "bool", "list", "map", "section", "any"]


KeyPath = tuple[str | int, ...]


class Cost(str, Enum):
    """What applying a changed setting takes; nobody's server stops for any of them."""

    NOTHING = "nothing"
    LIVE = "nothing, running servers included"
    PROXY_RELOAD = "proxy reload"
    HUB_RESTART = "hub restart"
    NEXT_SPAWN = "next spawn"
    REBUILD = "hub environment rebuild"
    ENVIRONMENT = "user environment change"


class Section(BaseModel):
    """A closed group of settings; an unknown key in it is an error."""

    # Built when first used, and then once: `show` needs no validator at all.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


def setting(
    default: Any = ...,
    *,
    help: str,
    cost: Cost,
    secret: bool = False,
    example: str | None = None,
    **bounds: Any,
) -> Any:
    """Declare a setting: its default, one sentence of help, and what applying it costs.

    `example` is a value as one would type it after `tljh-config set KEY`.
    """
    extra: dict[str, Any] = {"cost": cost.value}
    if secret:
        extra["secret"] = True
    if example is not None:
        extra["examples"] = [example]
    if isinstance(default, (list, dict)):
        copied = type(default)
        return Field(
            default_factory=lambda: copied(default),
            description=help,
            json_schema_extra=extra,
            **bounds,
        )
    return Field(default=default, description=help, json_schema_extra=extra, **bounds)


def section(model: type[Section], *, help: str) -> Any:
    """Declare a group of settings below a name."""
    return Field(default_factory=model, description=help)


@dataclass(frozen=True)
class Problem:
    """Something wrong with the value at `path`.

    `incomplete` is what only the next edit can make good (a certificate whose key is still
    to be named): a single `set` may leave it so, `check` and `reload` refuse it.
    `warning` is told and stops nothing. `at_key` points at the name instead of the value.
    `fix_resets` says that the fix gives up what stands there: no advice for who was refused to
    put it there.
    """

    path: KeyPath
    what: str
    fix: str | None = None
    why: str | None = None
    severity: Literal["error", "incomplete", "warning"] = "error"
    at_key: bool = False
    fix_resets: bool = False


@dataclass(frozen=True)
class Shape:
    """What values a place in the configuration takes, read off a type annotation."""

    kind: Kind
    nullable: bool = False
    choices: tuple[str, ...] = ()
    item: Shape | None = None
    fields: Mapping[str, Shape] = field(default_factory=dict)
    model: type[BaseModel] | None = None
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    secret: bool = False
    # `{file: /path}` may stand in its place: a trait that is read from there.
    may_be_file: bool = False

    def at(self, key: str | int) -> Shape | None:
        """The shape one step further down, or None where the schema has nothing there."""
        if self.kind == "section":
            found = self.fields.get(str(key))
            if found is None and self.model and self.model.model_config.get("extra") == "allow":
                return ANYTHING if str(key)[:1].isupper() else None
            return found
        if self.kind == "map" or (self.kind == "list" and isinstance(key, int)):
            return self.item
        if self.may_be_file and key == "file":
            return Shape("text")
        return ANYTHING if self.kind == "any" else None

    def description(self) -> str:
        """The kind of value in the words of an error message: 'must be …'."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind in ("int", "number"):
            noun = "whole number" if self.kind == "int" else "number"
            if self.minimum is not None and self.maximum is not None:
                return f"a {noun} between {_number(self.minimum)} and {_number(self.maximum)}"
            if self.minimum is not None:
                return f"a {noun} of at least {_number(self.minimum)}"
            if self.above is not None:
                return f"a {noun} above {_number(self.above)}"
            return f"a {noun}"
        words = {
            "text": "text",
            "bool": "true or false",
            "map": "a map (names with values)",
            "section": "a section (names with values)",
            "any": "a value",
        }
        if self.kind == "list":
            inner = self.item.kind if self.item else "any"
            return {"text": "a list of texts", "int": "a list of whole numbers"}.get(
                inner, "a list"
            )
        return words[self.kind]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"


ANYTHING = Shape("any", nullable=True)


def _bounds(metadata: tuple[Any, ...] | list[Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for entry in metadata:
        # `Field(ge=…)` inside an Annotated arrives as a FieldInfo with metadata of its own.
        if isinstance(entry, FieldInfo):
            found |= _bounds(entry.metadata)
        if isinstance(entry, (Ge, Interval)) and entry.ge is not None:
            found["minimum"] = entry.ge  # type: ignore[assignment]
        if isinstance(entry, (Le, Interval)) and entry.le is not None:
            found["maximum"] = entry.le  # type: ignore[assignment]
        if isinstance(entry, (Gt, Interval)) and entry.gt is not None:
            found["above"] = entry.gt  # type: ignore[assignment]
        if isinstance(entry, Lt):
            raise TypeError("declare an upper bound that a value may reach: le, not lt")
    return found


def _shape_of_annotation(annotation: Any, metadata: list[Any]) -> Shape:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *rest = get_args(annotation)
        return _shape_of_annotation(inner, [*metadata, *rest])
    if origin in (Union, types.UnionType):
        chosen = [part for part in get_args(annotation) if part is not type(None)]
        if len(chosen) != 1:
            return ANYTHING
        found = _shape_of_annotation(chosen[0], metadata)
        return _changed(found, nullable=True)
    if origin is Literal:
        return Shape("text", choices=tuple(str(choice) for choice in get_args(annotation)))
    if origin in (list, tuple):
        return Shape("list", item=_shape_of_annotation(get_args(annotation)[0], []))
    if origin is dict:
        return Shape("map", item=_shape_of_annotation(get_args(annotation)[1], []))
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            return shape_of(annotation)
        simple: dict[type, Kind] = {bool: "bool", int: "int", float: "number", str: "text"}
        if annotation in simple:
            return Shape(simple[annotation], **_bounds(metadata))  # type: ignore[arg-type]
    return ANYTHING


def _changed(shape: Shape, **changes: Any) -> Shape:
    from dataclasses import replace

    return replace(shape, **changes)


@cache
def shape_of(model: type[BaseModel]) -> Shape:
    """The shape of a whole section."""
    fields: dict[str, Shape] = {}
    for name, info in model.model_fields.items():
        found = _shape_of_annotation(info.annotation, list(info.metadata))
        if found.nullable and info.metadata:
            bounds = _bounds(list(info.metadata))
            found = _changed(found, **bounds) if bounds else found
        if isinstance(info.json_schema_extra, dict) and info.json_schema_extra.get("secret"):
            found = _changed(found, secret=True)
        fields[name] = found
    return Shape("section", fields=fields, model=model)
