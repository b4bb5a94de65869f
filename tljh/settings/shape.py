"""The shapes of the settings: what value each place of the configuration takes.

The shapes are read off the pydantic schema once. Everything that has to know what a key or a
place takes walks them with the functions below: key parsing, validation, the command line's
values, completion and the reference page.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from inspect import get_annotations
from typing import Annotated, Any, ForwardRef, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Interval, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tljh.settings.value_types import Duration

Kind = Literal["text", "int", "number", "bool", "list", "map", "section", "any"]


@dataclass(frozen=True)
class Shape:
    """The values that one place of the configuration takes.

    `item` is the shape of the items of a list or the values of a map, `fields` the shapes below a
    section, and `declaration` the field of the schema that a setting is declared by.
    """

    kind: Kind
    nullable: bool = False
    choices: tuple[str, ...] = ()
    item: Shape | None = None
    fields: Mapping[str, Shape] = field(default_factory=dict)
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    # A time: 2h and 90m are accepted, too.
    duration: Duration | None = None
    secret: bool = False
    # `{file: /path}` is accepted in place of the value: the trait is read from that file.
    may_be_file: bool = False
    # Names that begin with a capital letter are sections of classes (auth, and the root).
    takes_classes: bool = False
    # Of a section: the shape at any name that is not in `fields`.
    others: Shape | None = None
    declaration: FieldInfo | None = None

    def find_child(self, key: str | int) -> Shape | None:
        """Return the shape of the value below a key or list index; None if the schema has none."""
        if self.kind == "section":
            below = self.fields.get(str(key))
            if below is None and self.takes_classes and str(key)[:1].isupper():
                return ANYTHING
            return below or self.others
        if self.kind == "map" or (self.kind == "list" and isinstance(key, int)):
            return self.item
        if self.may_be_file and key == "file":
            return Shape("text")
        return ANYTHING if self.kind == "any" else None

    def describe(self) -> str:
        """Return the words for this type that follow 'must be' in an error message."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind in ("int", "number"):
            return self._describe_number()
        if self.kind == "list":
            words = {"text": "a list of texts", "int": "a list of whole numbers"}
            return words.get(self.item.kind if self.item else "any", "a list")
        words = {
            "text": "text",
            "bool": "true or false",
            "map": "a map (names with values)",
            "section": "a section (names with values)",
            "any": "a value",
        }
        return words[self.kind]

    def _describe_number(self) -> str:
        noun = "whole number" if self.kind == "int" else "number"
        if self.duration:
            unit = "seconds" if self.duration.unit_s == 1 else "days"
            return f"a time like 90m or 2h, or {unit}{self._describe_bounds()}"
        if self.minimum is not None and self.maximum is not None:
            bounds = f"{_format_number(self.minimum)} and {_format_number(self.maximum)}"
            return f"a {noun} between {bounds}"
        if self.minimum is not None:
            return f"a {noun} of at least {_format_number(self.minimum)}"
        if self.above is not None:
            return f"a {noun} above {_format_number(self.above)}"
        return f"a {noun}"

    def _describe_bounds(self) -> str:
        bounds = (self.minimum, self.maximum)
        if None in bounds:
            return ""
        return " between " + " and ".join(_format_number(bound or 0) for bound in bounds)


ANYTHING = Shape("any", nullable=True)


def follow_path(shape: Shape, path: Iterable[str | int]) -> Iterator[Shape | None]:
    """Yield the shape after each step of a path; None from the first unknown step on."""
    current: Shape | None = shape
    for step in path:
        current = current.find_child(step) if current is not None else None
        yield current


def find_shape(shape: Shape, path: Iterable[str | int]) -> Shape | None:
    """Return the shape of the value at a path; None if the schema has none."""
    last: Shape | None = shape
    for last in follow_path(shape, path):
        if last is None:
            return None
    return last


def walk(shape: Shape, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Shape]]:
    """Yield path and shape of every setting and section, in the order of declaration."""
    for name, below in shape.fields.items():
        path = (*above, name)
        yield path, below
        yield from walk(below, path)


@cache
def derive_shape(model: type[BaseModel]) -> Shape:
    """Return the shape of a section, from its pydantic model."""
    fields = {name: _derive_field_shape(info) for name, info in model.model_fields.items()}
    others = _derive_others(model)
    takes_classes = model.model_config.get("extra") == "allow" and others is None
    return Shape("section", fields=fields, takes_classes=takes_classes, others=others)


def _derive_others(model: type[BaseModel]) -> Shape | None:
    """Return the shape of the values at other names than the fields; None without a type."""
    if "__pydantic_extra__" not in get_annotations(model):
        return None
    return _derive_annotation_shape(get_type_hints(model)["__pydantic_extra__"], []).item


def _derive_field_shape(info: FieldInfo) -> Shape:
    shape = _derive_annotation_shape(info.annotation, info.metadata)
    extra = info.json_schema_extra
    return replace(
        shape,
        # Bounds of a nullable number are metadata of the field, not of the type in the union.
        **(_collect_bounds(info.metadata) if shape.nullable else {}),
        secret=isinstance(extra, dict) and bool(extra.get("secret")),
        declaration=info,
    )


def _derive_annotation_shape(annotation: Any, metadata: list[Any]) -> Shape:
    if isinstance(annotation, (str, ForwardRef)):
        # Pydantic leaves a name that is defined further down as text, and such a setting would
        # be taken for one without a type.
        raise TypeError(f"define {annotation} above the section that uses it")
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *rest = get_args(annotation)
        return _derive_annotation_shape(inner, [*metadata, *rest])
    if origin in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        if len(parts) != 1:
            return ANYTHING
        return replace(_derive_annotation_shape(parts[0], metadata), nullable=True)
    if origin is Literal:
        return Shape("text", choices=tuple(str(choice) for choice in get_args(annotation)))
    if origin in (list, tuple):
        return Shape("list", item=_derive_annotation_shape(get_args(annotation)[0], []))
    if origin is dict:
        return Shape("map", item=_derive_annotation_shape(get_args(annotation)[1], []))
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            return derive_shape(annotation)
        kinds: dict[type, Kind] = {bool: "bool", int: "int", float: "number", str: "text"}
        if annotation in kinds:
            return Shape(kinds[annotation], **_collect_bounds(metadata))
    return ANYTHING


def _collect_bounds(metadata: Iterable[Any]) -> dict[str, Any]:
    bounds: dict[str, Any] = {}
    for entry in metadata:
        # `Field(ge=…)` inside an Annotated arrives as a FieldInfo with its own metadata.
        if isinstance(entry, FieldInfo):
            bounds |= _collect_bounds(entry.metadata)
        if isinstance(entry, (Ge, Interval)) and entry.ge is not None:
            bounds["minimum"] = entry.ge
        if isinstance(entry, (Le, Interval)) and entry.le is not None:
            bounds["maximum"] = entry.le
        if isinstance(entry, (Gt, Interval)) and entry.gt is not None:
            bounds["above"] = entry.gt
        if isinstance(entry, Duration):
            bounds["duration"] = entry
        if isinstance(entry, Lt):
            raise TypeError("declare an inclusive upper bound: le, not lt")
    return bounds


def _format_number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:g}"
