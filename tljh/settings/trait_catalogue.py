"""Catalogue of the traits of installed classes, and the check of class sections against it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from shlex import quote
from typing import Any

from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.keys import find_nearest, format_key
from tljh.settings.model_errors import suggest_list
from tljh.settings.redaction import looks_secret
from tljh.settings.shape import ANYTHING, Shape

_SHAPES: dict[str, Shape] = {
    "bool": Shape("bool"),
    "int": Shape("int"),
    "number": Shape("number"),
    "text": Shape("text"),
    "list": Shape("list", item=ANYTHING),
    "map": Shape("map", item=ANYTHING),
}


@dataclass(frozen=True)
class Trait:
    """One configurable value of a class; `owner` is the class that defines it."""

    name: str
    owner: str
    kind: str
    info: str = "a value"
    help: str = ""
    default: Any = None
    nullable: bool = False
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    item: str | None = None

    @property
    def shape(self) -> Shape:
        if self.kind == "choice" and all(isinstance(choice, str) for choice in self.choices):
            shape = Shape("text", choices=self.choices)
        elif self.kind == "list" and self.item in _SHAPES:
            shape = Shape("list", item=_SHAPES[self.item])
        else:
            shape = _SHAPES.get(self.kind, ANYTHING)
        return replace(
            shape,
            nullable=self.nullable or shape.nullable,
            minimum=self.minimum,
            maximum=self.maximum,
            secret=looks_secret(self.name),
            may_be_file=self.kind != "map",
        )

    def explain_refusal(self, value: Any, owner: str) -> str | None:
        """Return why the class would refuse `value`; None if it would accept it."""
        if self._takes(value):
            return None
        text = "a value" if looks_secret(self.name) else f"the {_name_type(value)} {value!r}"
        if self.kind == "function":
            return f"the {self.name!r} trait of {owner} takes a function, which YAML cannot express"
        if self.choices:
            allowed = ", ".join(repr(choice) for choice in self.choices)
            return f"the {self.name!r} trait of {owner} expected one of {allowed}, not {text}"
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        if self.kind == "bytes":
            return f"the {self.name!r} trait of {owner} expected a size like 512M, not {text}"
        if self.item and isinstance(value, list):
            nouns = {"text": "texts", "int": "whole numbers", "map": "maps"}
            noun = nouns.get(self.item, "booleans")
            return f"the {self.name!r} trait of {owner} expected a list of {noun}, not {text}"
        limits = " and ".join(f"{name} {bound:g}" for name, bound in bounds.items() if bound)
        return f"the {self.name!r} trait of {owner} expected {self.info}, not {text}" + (
            f" ({limits})" if limits else ""
        )

    def _takes(self, value: Any) -> bool:
        if value is None:
            # TLJH does not set a trait that is null, and neither do we.
            return True
        if isinstance(value, dict) and set(value) == {"file"} and self.kind != "map":
            return isinstance(value["file"], str) and value["file"].startswith("/")
        if self.kind == "choice":
            return value in self.choices
        if self.kind == "bool" and value in (0, 1):
            return True
        kinds: dict[str, tuple[type, ...]] = {
            "bool": (bool,),
            "int": (int,),
            "number": (int, float),
            "text": (str,),
            "list": (list,),
            "map": (dict,),
            "bytes": (int, float, str),
            "command": (str, list),
            "function": (),
        }
        expected = kinds.get(self.kind)
        if expected is None:
            return True
        if not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected):
            return False
        if self.kind == "bytes" and isinstance(value, str):
            return value[-1:] in "KMGT0123456789" and value[:1].isdigit()
        if isinstance(value, list) and self.item in ("text", "int", "bool", "map"):
            types = kinds[self.item]
            if not all(isinstance(item, types) for item in value):
                return False
        if isinstance(value, (int, float)):
            below = self.minimum is not None and value < self.minimum
            return not below and (self.maximum is None or value <= self.maximum)
        return True


def _name_type(value: Any) -> str:
    words = {str: "text", dict: "map", bool: "boolean", int: "number", float: "number"}
    return words.get(type(value), type(value).__name__)


@dataclass(frozen=True)
class Catalogue:
    """The classes of a hub environment with their configurable traits.

    `built_with` are the packages with which the environment was built, in addition to the locked
    ones; None if it has no stamp. With `is_partial`, the environment that a configuration is for
    is not built yet; classes that are missing here are checked when it is.
    """

    classes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    authenticators: Mapping[str, str] = field(default_factory=dict)
    built_with: frozenset[str] | None = None
    is_partial: bool = False

    @classmethod
    def parse(cls, data: bytes, stamp: bytes | None = None) -> Catalogue | None:
        """Parse the catalogue that `tljh.hub.trait_scan` wrote; return None for anything else.

        `stamp` is the content of the environment's stamp.
        """
        try:
            content = json.loads(data)
            catalogue = cls(content["classes"], content["authenticators"])
        except (ValueError, KeyError, TypeError):
            return None
        try:
            specs = frozenset(json.loads(stamp)["wanted"]["specs"]) if stamp else None
        except (ValueError, KeyError, TypeError):
            specs = None
        return replace(catalogue, built_with=specs)

    def mark_partial_for(self, packages: Iterable[str]) -> Catalogue:
        """Return the catalogue for checking a configuration that asks for these packages.

        It is marked as partial if some are not installed yet: they may bring unknown classes.
        """
        lacks = self.built_with is not None and not self.built_with.issuperset(packages)
        return replace(self, is_partial=True) if lacks else self

    @cached_property
    def authenticator_paths(self) -> dict[str, str]:
        """Class names by every spelling of an authenticator: short name or path."""
        names = {short: path.rpartition(".")[2] for short, path in self.authenticators.items()}
        for name, entry in self.classes.items():
            if "Authenticator" in (name, *entry["bases"]):
                names[entry["path"]] = name
        return names

    @property
    def short_names(self) -> list[str]:
        """One short name for each authenticator, without the variants for local accounts."""
        return sorted(
            name
            for name in self.authenticators
            if name != "default"
            and not name.startswith("local-")
            and "authenticator" not in name
            # A class that config.yaml names by its path.
            and "." not in name
        )

    def find_trait(self, class_name: str, name: str) -> Trait | None:
        """Return a trait of a class, its own or inherited; None if it has none of that name."""
        for owner in (class_name, *self.classes[class_name]["bases"]):
            entry = self.classes.get(owner, {}).get("traits", {}).get(name)
            if entry is not None:
                return Trait(
                    name,
                    owner,
                    kind=entry["kind"],
                    info=entry.get("info", "a value"),
                    help=entry.get("help", ""),
                    default=entry.get("default"),
                    nullable=entry.get("none", False),
                    choices=tuple(entry.get("choices", ())),
                    minimum=entry.get("minimum"),
                    maximum=entry.get("maximum"),
                    item=entry.get("item"),
                )
        return None

    def list_trait_names(self, class_name: str) -> list[str]:
        names: set[str] = set()
        for owner in (class_name, *self.classes[class_name]["bases"]):
            names |= set(self.classes.get(owner, {}).get("traits", {}))
        return sorted(names)

    def build_shape(self, class_name: str) -> Shape:
        """Return the shape of a section that is named after a class."""
        if class_name not in self.classes:
            return Shape("map", item=ANYTHING)
        traits = {
            name: self.find_trait(class_name, name) for name in self.list_trait_names(class_name)
        }
        return Shape("section", fields={name: t.shape for name, t in traits.items() if t})

    def find_section_problems(self, path: KeyPath, values: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield the problems of the traits of one class; `path` ends in its name."""
        class_name = str(path[-1])
        if class_name not in self.classes:
            if self.is_partial:
                yield _report_missing_catalogue(path, f"{format_key(path)} is not checked yet")
                return
            near = find_nearest(class_name, self.classes)
            yield Problem(
                path,
                f"no class {class_name} is installed in the hub environment",
                fix=f"did you mean {near}?"
                if near
                else "install the package of the class, or remove the section"
                + _suggest_allowing(path),
                at_key=True,
            )
            return
        for name, value in values.items():
            trait = self.find_trait(class_name, name)
            if trait is None:
                near = find_nearest(name, self.list_trait_names(class_name))
                yield Problem(
                    (*path, name),
                    f"{class_name} has no trait {name}",
                    fix=f"did you mean {near}?" if near else "remove it",
                    at_key=True,
                )
            elif (refusal := trait.explain_refusal(value, class_name)) is not None:
                yield Problem((*path, name), refusal, fix=_suggest_fix(trait, value))

    def find_authenticator_problem(self, name: str, path: KeyPath) -> Problem | None:
        """Return the problem of a class that is chosen as authenticator; None if it is fine.

        `path` is auth.type, or the trait of JupyterHub that does the same.
        """
        key, installed = format_key(path), self.authenticator_paths
        if name in installed or name.replace(":", ".") in installed:
            return None
        near = find_nearest(name, installed if "." in name else self.short_names)
        if near is None and name.lower() in self.short_names:
            near = name.lower()
        last = name.rpartition(".")[2]
        same = [path for path in installed if path.rpartition(".")[2] == last]
        # `oauthenticator.GitHubOAuthenticator` is another path of a class in a submodule.
        module = name.partition(".")[0]
        if "." in name and any(path.partition(".")[0] == module for path in same):
            return None
        is_typo = "." in name and find_nearest(name, installed, 0.9) is not None
        if "." in name and not same and not is_typo and _may_have_authenticators(module):
            return Problem(
                path,
                f"{key} names {name}, which is not in the list of installed authenticators",
                why="it cannot be checked before the hub loads it",
                severity="warning",
            )
        if self.is_partial:
            return _report_missing_catalogue(path, f"{key} is not checked yet: {name}")
        shorts = ", ".join(self.short_names)
        guess = same[0] if same else near
        return Problem(
            path,
            f"{key} names an authenticator that is not installed: {name!r}",
            fix=f"sudo tljh-config set {key} {quote(guess)}" if guess else f"one of: {shorts}",
        )


def _suggest_allowing(path: KeyPath) -> str:
    if len(path) > 1:
        return ""
    command = f"sudo tljh-config add-item plugins.sections {quote(str(path[0]))}"
    return f"; if it belongs to a plugin: {command}"


def _report_missing_catalogue(path: KeyPath, what: str) -> Problem:
    return Problem(
        path,
        what,
        why="the hub environment is built with new packages first, which may bring it",
        severity="warning",
    )


def _suggest_fix(trait: Trait, value: Any) -> str | None:
    if trait.kind == "function":
        return "set it in a file in config/jupyterhub_config.d"
    if trait.kind == "list" and isinstance(value, (str, int)):
        return "write it as a list: [a, b]" if looks_secret(trait.name) else suggest_list(value)
    return f"its help: {trait.help}" if trait.help else None


def _may_have_authenticators(module: str) -> bool:
    if module in sys.stdlib_module_names:
        return False
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


# Authenticators without an entry point, by our short names for them.
NAMED_HERE = {"lti13": "ltiauthenticator.lti13.auth:LTI13Authenticator"}
