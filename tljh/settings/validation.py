"""Validation of a parsed file: typed settings, and every problem with its place at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from tljh.base.errors import Finding, Place
from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.file_reader import FileReader, PluginSections
from tljh.settings.model_errors import build_model
from tljh.settings.trait_catalogue import Catalogue
from tljh.settings.yaml_tree import Document, Node

M = TypeVar("M", bound=BaseModel)


@dataclass
class ExaminedFile(Generic[M]):
    """A file as typed settings, with the problems that were found.

    Where there are problems, `config` holds the defaults in place of the wrong values.
    """

    document: Document
    config: M
    values: dict[str, Any]
    path: str
    problems: list[Problem] = field(default_factory=list)

    def findings(self, *severities: str) -> list[Finding]:
        """Return the problems of these severities as findings, in the order of the file."""
        findings = [
            problem.as_finding(self.place(problem.path, at_key=problem.at_key))
            for problem in self.problems
            if problem.severity in severities
        ]
        if "error" in severities:
            findings += [problem.as_finding(self.path) for problem in self.document.problems]
        return sorted(findings, key=_get_position)

    def place(self, path: KeyPath, *, at_key: bool = False) -> Place:
        """Return file, line and column of the value at a path; of its name, with `at_key`.

        A value that is missing is shown at its section.
        """
        root = self.document.root
        if root is None:
            return Place(self.path)
        name, value, depth = root.find(path)
        if depth == 0 and path:
            return Place(self.path)
        spot = name.start if at_key or depth < len(path) else value.start
        return Place(self.path, spot.line, spot.column)


def _get_position(finding: Finding) -> tuple[int, int]:
    if finding.where is None:
        return (0, 0)
    return (finding.where.line or 0, finding.where.column or 0)


def validate(
    document: Document,
    model: type[M],
    *,
    path: str,
    contradictions: Iterable[Callable[[M], Iterator[Problem]]] = (),
    catalogue: Catalogue | None = None,
    plugin_sections: PluginSections | None = None,
) -> ExaminedFile[M]:
    """Check the text of config.yaml by the schema, the catalogue and the rules.

    Nothing is read from the machine. `contradictions` are rules about several settings together.
    """
    examined = ExaminedFile(document, model(), {}, path)
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
    sections = _add_allowed_sections(document.root, plugin_sections or {})
    if catalogue is not None:
        catalogue = catalogue.mark_partial_for(_find_packages(document.root))
    reader = FileReader(model, catalogue, sections)
    examined.values = reader.read(document.root)
    examined.problems += reader.problems
    examined.config = build_model(model, examined.values, examined.problems)
    # A value that is wrong in itself need not be reported as a contradiction, too.
    wrong = {problem.path for problem in examined.problems}
    examined.problems += [
        problem
        for find in contradictions
        for problem in find(examined.config)
        if not any(problem.path[: len(path)] == path for path in wrong)
    ]
    return examined


def _find_packages(root: Node) -> Iterator[str]:
    """Yield the pip packages that the file asks for in the hub environment."""
    for path in (("hub", "packages"), ("plugins", "packages")):
        _, names, depth = root.find(path)
        if depth == len(path):
            yield from (item.raw for item in names.items if item.raw)


def _add_allowed_sections(root: Node, declared: PluginSections) -> PluginSections:
    """Return the declared sections, and those that the file allows in `plugins.sections`."""
    _, names, depth = root.find(("plugins", "sections"))
    items = names.items if depth == 2 else []
    return {**{item.raw: None for item in items if item.raw}, **declared}
