"""Values of config.yaml, read along the schema, the installed classes and plugins' sections."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote
from typing import Any

from pydantic import BaseModel

from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.hub_options import find_refused
from tljh.settings.keys import find_nearest, format_key, setting_keys
from tljh.settings.known_mistakes import find_fix_of_known_mistake
from tljh.settings.model_errors import build_model, show_value
from tljh.settings.shape import ANYTHING, Shape, derive_shape, find_shape
from tljh.settings.trait_catalogue import Catalogue
from tljh.settings.tree_values import ABSENT, TreeReader
from tljh.settings.yaml_tree import Node

# Sections of plugins: the model that the plugin declares, or None for an unchecked section.
PluginSections = Mapping[str, type[BaseModel] | None]


def _find_chosen_classes(root: Node, catalogue: Catalogue | None) -> frozenset[str]:
    """Return the names of the authenticator classes that the file chooses by a path.

    Paths that cannot exist are left out.
    """
    chosen = set()
    for path in (("auth", "type"), ("JupyterHub", "authenticator_class")):
        _, value, depth = root.find(path)
        if catalogue is None or depth < len(path) or "." not in value.raw:
            continue
        problem = catalogue.find_authenticator_problem(value.raw, path)
        if problem is None or problem.severity == "warning":
            chosen.add(value.raw.replace(":", ".").rpartition(".")[2])
    return frozenset(chosen)


class FileReader(TreeReader):
    """One reading of a file; unknown names and wrong traits are collected as `problems`."""

    def __init__(
        self, model: type[BaseModel], catalogue: Catalogue | None, sections: PluginSections
    ) -> None:
        self.model = model
        self.catalogue = catalogue
        self.sections = sections
        self.problems: list[Problem] = []
        self._chosen_classes: frozenset[str] = frozenset()

    def read(self, root: Node) -> dict[str, Any]:
        """Return the values of the whole file; problems are added to `problems`."""
        values: dict[str, Any] = {}
        shape = derive_shape(self.model)
        self._chosen_classes = _find_chosen_classes(root, self.catalogue)
        for key, node in root.pairs():
            name = key.raw
            if name in self.sections and self._is_free(name):
                values[name] = self._plugin_section(node, name)
            # Anchors may be kept below names that begin with x-.
            elif not (node.anchor and name.startswith("x-")):
                values[name] = self.entry(node, shape, (name,))
        values = {name: value for name, value in values.items() if value is not ABSENT}
        self._check_authenticators(values)
        self._check_second_choice(values)
        return values

    def _is_free(self, name: str) -> bool:
        """Return whether a top-level name may be a plugin's section.

        It is then neither a setting nor an installed class.
        """
        is_class = self.catalogue is not None and name in self.catalogue.classes
        return name not in derive_shape(self.model).fields and not is_class

    def value(self, node: Node, shape: Shape, path: KeyPath = ()) -> Any:
        """Return the plain value of a node.

        A section, list or map without anything after its name is absent.
        """
        if node.is_null and not shape.nullable and shape.kind in ("section", "list", "map"):
            return ABSENT
        return super().value(node, shape, path)

    def entry(self, node: Node, above: Shape, path: KeyPath) -> Any:
        """Return the value at `path`; report an unknown name if `above` is a section."""
        if above.kind != "section" or path[-1] in above.fields or above.others is not None:
            return super().entry(node, above, path)
        if above.find_child(path[-1]) is not None:
            return self._traits(node, path)
        self._add_unknown(path, above, value=node.value() if node.kind == "map" else None)
        return ABSENT

    def _check_authenticators(self, values: Mapping[str, Any]) -> None:
        for section, name in (("auth", "type"), ("JupyterHub", "authenticator_class")):
            traits = values.get(section)
            authenticator = traits.get(name) if isinstance(traits, dict) else None
            if self.catalogue and isinstance(authenticator, str):
                problem = self.catalogue.find_authenticator_problem(authenticator, (section, name))
                self.problems += [problem] if problem else []

    def _check_second_choice(self, values: Mapping[str, Any]) -> None:
        auth, hub = values.get("auth"), values.get("JupyterHub")
        ours = auth.get("type") if isinstance(auth, dict) else None
        theirs = hub.get("authenticator_class") if isinstance(hub, dict) else None
        if ours is not None and isinstance(theirs, str) and theirs != ours:
            self.problems.append(
                Problem(
                    ("auth", "type"),
                    f"auth.type {ours} has no effect: JupyterHub.authenticator_class is {theirs}",
                    fix="sudo tljh-config unset JupyterHub.authenticator_class",
                    severity="warning",
                )
            )

    def _traits(self, node: Node, path: KeyPath) -> dict[str, Any]:
        """Return the traits of a class, checked where the catalogue knows it."""
        if node.is_null:
            return {}
        class_name = str(path[-1])
        if "." in class_name:
            self._add_unknown(path, derive_shape(self.model))
            return {}
        if node.kind != "map":
            what = (
                f"{format_key(path)} must hold traits with values, not {show_value(node.value())}"
            )
            self.problems.append(Problem(path, what))
            return {}
        is_class = self.catalogue is None or class_name in self.catalogue.classes
        is_misspelled = len(path) == 1 and class_name.lower() in self.model.model_fields
        if is_misspelled and not is_class:
            self._add_unknown(path, derive_shape(self.model), near=class_name.lower())
            return {}
        if self.catalogue is None:
            self.problems.append(
                Problem(
                    path,
                    f"{format_key(path)} is not checked",
                    why="the list of installed classes is created when the hub is installed",
                    severity="warning",
                    at_key=True,
                )
            )
            return dict(node.value())
        if not is_class and class_name in self._chosen_classes:
            why = "auth.type names the class; the hub itself checks its traits at the next reload"
            what = f"{format_key(path)} is not in the list of installed classes"
            self.problems.append(Problem(path, what, why=why, severity="warning", at_key=True))
            return dict(node.value())
        shape = self.catalogue.build_shape(class_name)
        values: dict[str, Any] = {}
        refused: dict[str, Any] = {}
        for key, child in node.pairs():
            if find_refused(class_name, key.raw) is not None:
                # A rule refuses it whatever its value is, and says what to write instead.
                refused[key.raw] = child.value()
                continue
            value = self.value(child, shape.find_child(key.raw) or ANYTHING, (*path, key.raw))
            # An empty trait is null: it is not set, but the class must still have it.
            values[key.raw] = None if value is ABSENT else value
        self.problems += self.catalogue.find_section_problems(path, values)
        return {**values, **refused}

    def _plugin_section(self, node: Node, name: str) -> Any:
        model = self.sections[name]
        if model is None or node.kind != "map":
            return node.value()
        values = self.entries(node, derive_shape(model), (name,))
        build_model(model, values, self.problems, (name,))
        return values

    def _add_unknown(
        self, path: KeyPath, section: Shape, near: str | None = None, value: Any = None
    ) -> None:
        name = str(path[-1])
        fix = find_fix_of_known_mistake(path, value) or self._guess(path, section, near)
        if fix is None and path == ("c",):
            fix = "remove the c: a section has the bare name of its class, such as Authenticator"
        if fix is None and len(path) == 1:
            command = f"sudo tljh-config add-item plugins.sections {quote(name)}"
            fix = f"if it belongs to a plugin: {command}"
        self.problems.append(
            Problem(
                path,
                f"there is no setting {format_key(path)}",
                fix=fix
                or f"remove it, or see: tljh-config describe {quote(format_key(path[:-1]))}",
                at_key=True,
            )
        )

    def _guess(self, path: KeyPath, section: Shape, near: str | None) -> str | None:
        """Return the key that an unknown name was probably meant to be; None without a guess.

        Its own section is searched first.
        """
        name = str(path[-1])
        section_of = find_shape(derive_shape(self.model), path[:-2])
        if section_of is not None and section_of.others is section:
            # The section is one of the admin's: perhaps its name is a misspelled one of ours.
            ours = find_nearest(str(path[-2]), section_of.fields, 0.7)
            if ours and name in section_of.fields[ours].fields:
                return f"did you mean {format_key((*path[:-2], ours, name))}?"
        # At the top level any name may be a plugin's, so only a close one is offered.
        cutoff = 0.76 if len(path) == 1 else 0.6
        near = near or find_nearest(name, section.fields, cutoff)
        if near:
            return f"did you mean {format_key((*path[:-1], near))}?"
        keys = setting_keys(self.model)
        same_name = [key for key in keys if key.rpartition(".")[2] == name]
        guess = " or ".join(same_name) or find_nearest(format_key(path), keys, 0.75)
        return f"did you mean {guess}?" if guess else None
