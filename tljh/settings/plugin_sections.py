"""Sections of config.yaml that plugins declare: as data in a file, and as models made from it.

The commands that read and edit config.yaml must not run code of plugins. So a section is described
as JSON when the hub environment is built, and a model is made from that description.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, MaxLen, MinLen
from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from tljh.settings.declaration import Section, section
from tljh.settings.root import Config

Description = dict[str, Any]

_PLAIN: Mapping[str, type] = {"bool": bool, "int": int, "float": float, "str": str}
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")


def describe_section(name: str, model: Any) -> Description:
    """Return a declared section as JSON values. Raises ValueError for what cannot be one."""
    if not _NAME.match(name) or name in Config.model_fields:
        raise ValueError(f"a section cannot have the name {name!r}")
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise ValueError(f"the section {name} must be a class that inherits Section")
    fields = {
        key: _describe_field(f"{name}.{key}", info) for key, info in model.model_fields.items()
    }
    help_text = (model.__doc__ or f"Settings of the plugin {name}.").strip().splitlines()[0]
    return {"help": help_text, "fields": fields}


def _describe_field(key: str, info: FieldInfo) -> Description:
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
        return {"type": ["section", describe_section(key.rpartition(".")[2], info.annotation)]}
    if info.is_required():
        raise ValueError(f"{key} needs a default")
    if not info.description:
        raise ValueError(f"{key} needs help: declare it with setting(…)")
    return {
        "type": _describe_type(key, info.annotation),
        "default": info.get_default(call_default_factory=True),
        "help": info.description,
        "extra": dict(info.json_schema_extra) if isinstance(info.json_schema_extra, dict) else {},
        "bounds": _describe_bounds(info.metadata),
    }


def _describe_bounds(metadata: list[Any]) -> Description:
    bounds: Description = {}
    for entry in metadata:
        if isinstance(entry, FieldInfo):
            bounds |= _describe_bounds(entry.metadata)
        for kind, name, value in (
            ((Ge, Interval), "ge", "ge"),
            ((Le, Interval), "le", "le"),
            ((Gt, Interval), "gt", "gt"),
            ((MinLen,), "min_length", "min_length"),
            ((MaxLen,), "max_length", "max_length"),
        ):
            if isinstance(entry, kind) and getattr(entry, value, None) is not None:
                bounds[name] = getattr(entry, value)
        if getattr(entry, "pattern", None) is not None:
            bounds["pattern"] = entry.pattern
    return bounds


def _describe_type(key: str, annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    for name, plain in _PLAIN.items():
        if annotation is plain:
            return name
    if origin is Annotated:
        return _describe_type(key, arguments[0])
    if origin in (Union, types.UnionType):
        parts = [part for part in arguments if part is not type(None)]
        if len(parts) == 1:
            return ["optional", _describe_type(key, parts[0])]
    if origin is Literal and all(isinstance(choice, str) for choice in arguments):
        return ["choice", list(arguments)]
    if origin is list:
        return ["list", _describe_type(key, arguments[0])]
    if origin is dict and arguments[0] is str:
        return ["map", _describe_type(key, arguments[1])]
    raise ValueError(
        f"{key} has a type that a setting cannot have: use bool, int, float, str, Literal of "
        "texts, list, dict[str, …], a Section, or one of these or None"
    )


def build_section(name: str, description: Description) -> type[Section]:
    """Return the model of a described section."""
    fields: dict[str, Any] = {}
    for key, field in description["fields"].items():
        kind = field["type"]
        if isinstance(kind, list) and kind[0] == "section":
            nested = build_section(key, kind[1])
            fields[key] = (nested, section(nested, help=kind[1]["help"]))
            continue
        default = field["default"]
        default_arguments: dict[str, Any] = {"default": default}
        if isinstance(default, (list, dict)):
            text = json.dumps(default)
            default_arguments = {"default_factory": lambda text=text: json.loads(text)}
        fields[key] = (
            _build_type(kind),
            Field(
                description=field["help"],
                json_schema_extra=field["extra"],
                **default_arguments,
                **field["bounds"],
            ),
        )
    model: type[Section] = create_model(f"{name}_section", __base__=Section, **fields)
    return model


def _build_type(kind: Any) -> Any:
    if isinstance(kind, str):
        return _PLAIN[kind]
    word, below = kind
    if word == "choice":
        return Literal[tuple(below)]
    inner: Any = _build_type(below)
    if word == "optional":
        return inner | None
    container: Any = {"list": list, "map": dict}[word]
    return container[inner] if word == "list" else container[str, inner]


def dump_sections(config: Config) -> dict[str, Any]:
    """Return the values of the sections that plugins declare, defaults included."""
    names = set(type(config).model_fields) - set(Config.model_fields)
    values: dict[str, Any] = config.model_dump(mode="json", include=names)
    return values


@cache
def extend_config(record: bytes) -> type[Config]:
    """Return `Config` with the sections in a record of plugins' contributions.

    A section that cannot be read any more is left out, and so is the second one of a name.
    """
    fields: dict[str, Any] = {}
    for name, description in _read_descriptions(record).items():
        try:
            model = build_section(name, description)
        except (ValueError, TypeError, KeyError):
            continue
        fields[name] = (model, section(model, help=description["help"]))
    return create_model("Config", __base__=Config, **fields) if fields else Config


def _read_descriptions(record: bytes) -> dict[str, Description]:
    descriptions: dict[str, Description] = {}
    try:
        plugins = json.loads(record)["plugins"] if record else {}
        for answer in plugins.values():
            for name, description in (answer.get("settings") or {}).items():
                if name not in Config.model_fields:
                    descriptions.setdefault(name, description)
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return descriptions
