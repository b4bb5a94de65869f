"""From a parsed file to typed settings, with every problem and its place at once."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from tljh.base.errors import Finding, Place
from tljh.settings.declaration import ANYTHING, KeyPath, Problem, Shape, shape_of
from tljh.settings.keys import default_at, key_text, setting_keys
from tljh.settings.trait_catalogue import Catalogue
from tljh.settings.yaml_tree import NULLS, WORDS_FOR_BOOL, Document, Node, resolve

M = TypeVar("M", bound=BaseModel)


# Sections of plugins: the model that the plugin declares, or None for one that is not checked.
PluginSections = Mapping[str, type[BaseModel] | None]


@dataclass
class Examined(Generic[M]):
    """A file as typed settings and what is wrong with it.

    Where there are problems, `config` holds the defaults in place of what is wrong.
    """

    document: Document
    config: M
    values: dict[str, Any]
    path: str
    problems: list[Problem] = field(default_factory=list)

    def findings(self, *severities: str) -> list[Finding]:
        """Problems with their places, in the order of the file."""
        found = [
            (place, Finding(problem.what, place, problem.why, problem.fix))
            for problem in self.problems
            if problem.severity in severities
            for place in (self.place(problem.path, at_key=problem.at_key),)
        ]
        if "error" in severities:
            for one in self.document.problems:
                place = Place(self.path, one.line, one.column)
                found.append((place, Finding(one.what, place, fix=one.fix)))
        found.sort(key=lambda pair: (pair[0].line or 0, pair[0].column or 0))
        return [finding for _, finding in found]

    def place(self, path: KeyPath, *, at_key: bool = False) -> Place:
        """Where the value (or its name) stands; for what is missing, the nearest section."""
        root = self.document.root
        if root is None:
            return Place(self.path)
        name, value, depth = root.find(path)
        if depth == 0 and path:
            return Place(self.path)
        spot = name.start if at_key or depth < len(path) else value.start
        return Place(self.path, spot.line, spot.column)


def validate(
    document: Document,
    model: type[M],
    *,
    path: str,
    contradictions: Iterable[Callable[[M], Iterator[Problem]]] = (),
    catalogue: Catalogue | None = None,
    plugin_sections: PluginSections | None = None,
) -> Examined[M]:
    """Check everything that can be checked without looking at the machine."""
    examined = Examined(document, model(), {}, path)
    if document.root is None or document.root.is_null:
        return examined
    if document.root.kind != "map":
        if document.problems:
            return examined
        kind = "a list" if document.root.kind == "list" else "text"
        examined.problems.append(
            Problem(
                (),
                f"the file must hold names with values, not {kind}",
                fix="see: tljh-config describe",
            )
        )
        return examined
    reader = _Reader(model, catalogue, _with_allowed(document.root, plugin_sections or {}))
    examined.values = reader.read(document.root)
    examined.problems += reader.problems
    examined.config = _typed(model, examined.values, examined.problems)
    # A value that is wrong in itself need not also contradict another.
    wrong = {problem.path for problem in examined.problems}
    for source in contradictions:
        for problem in source(examined.config):
            if not any(problem.path[: len(path)] == path for path in wrong):
                examined.problems.append(problem)
    return examined


def _with_allowed(root: Node, declared: PluginSections) -> dict[str, type[BaseModel] | None]:
    """Declared sections and those that the file itself allows in `plugins.sections`."""
    _, listed, depth = root.find(("plugins", "sections"))
    names = [item.raw for item in listed.items] if depth == 2 else []
    return {**{name: None for name in names if name}, **declared}


class _Reader:
    """Takes values out of the tree by the shape that the schema gives them."""

    def __init__(
        self,
        model: type[BaseModel],
        catalogue: Catalogue | None,
        sections: Mapping[str, type[BaseModel] | None],
    ) -> None:
        self.model = model
        self.catalogue = catalogue
        self.sections = sections
        self.problems: list[Problem] = []

    def read(self, root: Node) -> dict[str, Any]:
        values: dict[str, Any] = {}
        shape = shape_of(self.model)
        for key, node in root.pairs():
            name = key.raw
            if name in shape.fields:
                value = self.value(node, shape.fields[name], (name,))
                if value is not _ABSENT:
                    values[name] = value
            elif name[:1].isupper():
                values[name] = self._traits(node, (name,))
            elif name in self.sections:
                values[name] = self._plugin_section(node, name)
            elif not (node.anchor and name.startswith("x-")):
                self._unknown((name,), shape)
        for section, name in (("auth", "type"), ("JupyterHub", "authenticator_class")):
            found = values.get(section)
            kind = found.get(name) if isinstance(found, dict) else None
            if self.catalogue and isinstance(kind, str):
                problem = self.catalogue.authenticator_problem(kind, (section, name))
                self.problems += [problem] if problem else []
        return values

    def value(self, node: Node, shape: Shape, path: KeyPath) -> Any:
        """The plain value of a node; text is taken as it was written.

        A section or a list without anything behind its name counts as absent.
        """
        if node.is_null and not shape.nullable and shape.kind in ("section", "list", "map"):
            return _ABSENT
        if shape.kind == "section" and node.kind == "map":
            return self._section(node, shape, path)
        if shape.kind == "list" and node.kind == "list":
            inner = shape.item or ANYTHING
            return [self.value(item, inner, (*path, i)) for i, item in enumerate(node.items)]
        if shape.kind == "map" and node.kind == "map":
            inner = shape.item or ANYTHING
            read = {k.raw: self.value(v, inner, (*path, k.raw)) for k, v in node.pairs()}
            return {key: value for key, value in read.items() if value is not _ABSENT}
        if node.kind == "scalar" and node.plain:
            return plain_value(node.raw, shape)
        return node.value()

    def _section(self, node: Node, shape: Shape, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, child in node.pairs():
            here = (*path, key.raw)
            if key.raw in shape.fields:
                value = self.value(child, shape.fields[key.raw], here)
                if value is not _ABSENT:
                    values[key.raw] = value
            elif shape.at(key.raw) is not None:
                values[key.raw] = self._traits(child, here)
            else:
                self._unknown(here, shape)
        return values

    def _traits(self, node: Node, path: KeyPath) -> dict[str, Any]:
        if node.is_null:
            return {}
        if node.kind != "map":
            what = f"{key_text(path)} must hold traits with values, not {show_value(node.value())}"
            self.problems.append(Problem(path, what))
            return {}
        name = str(path[-1]).lower()
        is_class = self.catalogue is None or str(path[-1]) in self.catalogue.classes
        if len(path) == 1 and name in self.model.model_fields and not is_class:
            self._unknown(path, shape_of(self.model), near=[name])
            return {}
        if self.catalogue is None:
            self.problems.append(
                Problem(
                    path,
                    f"{key_text(path)} is not checked",
                    why="the list of installed classes is made when the hub is installed",
                    severity="warning",
                    at_key=True,
                )
            )
            return dict(node.value())
        shape = self.catalogue.shape(str(path[-1]))
        values: dict[str, Any] = {}
        for key, child in node.pairs():
            found = self.value(child, shape.at(key.raw) or ANYTHING, (*path, key.raw))
            values[key.raw] = None if found is _ABSENT else found
        self.problems += self.catalogue.section_problems(path, values)
        return values

    def _plugin_section(self, node: Node, name: str) -> Any:
        model = self.sections[name]
        if model is None or node.kind != "map":
            return node.value()
        values = self._section(node, shape_of(model), (name,))
        _typed(model, values, self.problems, (name,))
        return values

    def _unknown(self, path: KeyPath, shape: Shape, near: list[str] | None = None) -> None:
        name = str(path[-1])
        near = near or get_close_matches(
            name, list(shape.fields), 1, 0.76 if path[1:] == () else 0.6
        )
        fix: str | None = None
        if near:
            fix = f"did you mean {key_text((*path[:-1], near[0]))}?"
        else:
            elsewhere = [k for k in setting_keys(self.model) if k.rpartition(".")[2] == name]
            if elsewhere:
                fix = f"did you mean {' or '.join(elsewhere)}?"
            else:
                wide = get_close_matches(key_text(path), setting_keys(self.model), 1, 0.75)
                fix = f"did you mean {wide[0]}?" if wide else None
        if fix is None and len(path) == 1:
            fix = f"if it belongs to a plugin: sudo tljh-config add-item plugins.sections {name}"
        self.problems.append(
            Problem(
                path,
                f"there is no setting {key_text(path)}",
                fix=fix or f"remove it, or see: tljh-config describe {key_text(path[:-1])}",
                at_key=True,
            )
        )


class _Absent:
    def __bool__(self) -> bool:
        return False


_ABSENT = _Absent()


def plain_value(raw: str, shape: Shape) -> Any:
    """What an unquoted word stands for where `shape` is expected."""
    if shape.kind == "text" and raw not in NULLS:
        return raw
    if shape.kind == "bool" and raw.lower() in WORDS_FOR_BOOL:
        return WORDS_FOR_BOOL[raw.lower()]
    return resolve(raw)


def _typed(model: type[M], values: dict[str, Any], problems: list[Problem], at: KeyPath = ()) -> M:
    """Build the model, leaving out what it refuses and telling why."""
    import copy

    left = copy.deepcopy(values)
    # Each round leaves out at least one value.
    for _ in range(1000):
        try:
            return model.model_validate(left)
        except ValidationError as error:
            for one in error.errors(include_url=False):
                path = tuple(step for step in one["loc"] if step != "[key]")
                problems.append(_problem(model, path, one, at))
                _leave_out(left, path)
    return model()


def _leave_out(values: Any, path: KeyPath) -> None:
    """Remove what stands at `path`, or the list that it stands in, so that places stay true."""
    parent, name = values, path[0]
    for step in path[:-1]:
        if isinstance(parent, dict) and isinstance(parent.get(step), (dict, list)):
            name, holder = step, parent
            parent = parent[step]
            if isinstance(parent, list):
                parent = holder
                break
            name = path[path.index(step) + 1]
        else:
            break
    if isinstance(parent, dict):
        parent.pop(name, None)


def _shape_at(model: type[BaseModel], path: KeyPath) -> Shape | None:
    shape: Shape | None = shape_of(model)
    for step in path:
        shape = shape.at(step) if shape else None
    return shape


def _problem(model: type[BaseModel], path: KeyPath, error: Any, at: KeyPath) -> Problem:
    shape = _shape_at(model, path) or ANYTHING
    whole = (*at, *path)
    key = key_text(whole)
    given = error.get("input")
    shown = "what is set" if shape.secret and isinstance(given, (str, int)) else show_value(given)
    if error["loc"][-1] == "[key]":
        what = f"{key} {error['ctx']['error']}" if "ctx" in error else f"{key} is no name"
        return Problem(whole, what, fix="write another name there", at_key=True)
    if error["type"] == "missing":
        return Problem(whole, f"{key} is missing", at_key=True)
    if error["type"] == "extra_forbidden":
        return Problem(whole, f"there is no setting {key}", at_key=True)
    wanted = shape.description()
    if error["type"] == "value_error":
        what = f"{key} {error['ctx']['error']}"
    elif error["type"] == "string_pattern_mismatch":
        what = f"{key} has a form that is not allowed here: {shown}"
    elif error["type"] == "too_short":
        what = f"{key} must not be empty"
    else:
        if error["type"].startswith(("greater_than", "less_than")):
            wanted = (
                wanted.removeprefix("a whole number ").removeprefix("a number ").removeprefix("of ")
            )
        what = f"{key} must be {wanted}, not {shown}"
    fix = _rewritten(shape, path, given)
    if fix is not None:
        return Problem(whole, what, fix=fix)
    return Problem(whole, what, fix=_reset(model, path, shape, given), fix_resets=True)


def _rewritten(shape: Shape, path: KeyPath, given: Any) -> str | None:
    """How to write what was meant, where that can be guessed."""
    if shape.kind == "list" and isinstance(given, (str, int)):
        return f"write it as a list: [{given}]"
    if path and isinstance(path[-1], int):
        if isinstance(given, (int, float)):
            return "put quotes around it"
        if isinstance(given, str) and given.isprintable() and given != given.strip() != "":
            return f"write {given.strip()!r}"
        return None
    if shape.choices and isinstance(given, str):
        near = get_close_matches(given, shape.choices, 1, 0.5)
        return f"sudo tljh-config set {key_text(path)} {near[0]}" if near else None
    if isinstance(given, str) and shape.kind in ("int", "number", "bool"):
        read = plain_value(given, shape)
        is_bool = isinstance(read, bool)
        if is_bool if shape.kind == "bool" else isinstance(read, (int, float)) and not is_bool:
            return f"write it without quotes: {given}"
    return None


def _reset(model: type[BaseModel], path: KeyPath, shape: Shape, given: Any) -> str | None:
    """How to be rid of it."""
    if path and isinstance(path[-1], int):
        if not isinstance(given, str) or not given.isprintable():
            return "remove it"
        return f"sudo tljh-config remove-item {key_text(path[:-1])} {shlex.quote(given)}"
    if shape.choices and isinstance(given, str):
        return f"sudo tljh-config set {key_text(path)} {shape.choices[0]}"
    default = default_at(model, path)
    if isinstance(default, (int, float, str, bool)) and default != "":
        return f"sudo tljh-config set {key_text(path)} {show_plain(default)}"
    return f"sudo tljh-config unset {key_text(path)}" if path else None


def show_plain(value: Any) -> str:
    """A simple value as one types it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def show_value(value: Any) -> str:
    """A value in a message: numbers as they are, text in quotes, long ones shortened."""
    if isinstance(value, str):
        text = f"the text {value!r}"
    elif isinstance(value, dict):
        text = "a map"
    elif isinstance(value, list):
        text = "a list"
    else:
        text = show_plain(value)
    return text if len(text) <= 80 else text[:77] + "…"
