"""Merging of lists and maps of other sources with those that tljh sets, so that none is lost.

JupyterHub's configuration has one value for each trait of a class, and the last one replaces the
others. tljh itself fills several lists and maps (the PATH of servers, their environment, the
culler's service and role, the users who may log in). A list that replaced one of these would
silently stop the culler, or shut out all users. So a value of config.yaml, a class section, a
plugin or a drop-in is merged with tljh's. An empty value is a decision: it empties tljh's, with a
warning that names the consequence. Lists of users are merged by `tljh.users.user_lists`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tljh.users.user_lists import USER_LISTS

Traits = dict[str, dict[str, Any]]
Sections = Mapping[str, Mapping[str, Any]]

# Sections by family, from the base class to the class that runs: a later one wins in traitlets.
FAMILIES = (
    ("Application", "JupyterHub", "Hub"),
    ("Spawner", "LocalProcessSpawner", "SystemdSpawner", "UserCreatingSpawner"),
)
# A command is one value, although its type is a list.
REPLACED = ("cmd", "args")
CONSEQUENCES = {
    "extra_paths": "servers find no python, pip and conda of the user environment",
    "environment": "conda in servers does not know the user environment",
    "unit_extra_properties": "files that servers make can be read by other users",
    "services": "idle servers are not stopped any more",
    "load_roles": "the service that stops idle servers has no rights",
    "allowed_users": "nobody in users.allowed may log in",
    "admin_users": "nobody in users.admin is an admin",
    "blocked_users": "nobody in users.banned is banned",
}


@dataclass(frozen=True)
class EmptiedTrait:
    """A list or map of ours that another section emptied."""

    section: str
    trait: str

    @property
    def consequence(self) -> str:
        return CONSEQUENCES.get(self.trait, "what tljh sets there does not apply")


def lay_over_traits(ours: Sections, theirs: Sections) -> tuple[Traits, list[EmptiedTrait]]:
    """Merge tljh's lists and maps (`ours`) with those of plugins and drop-ins (`theirs`).

    Returns the traits to set, and what `theirs` emptied. The result holds only lists and maps that
    both have. A trait is set in every section that names it, because a section of a subclass hides
    those of its bases.
    """
    merged: Traits = {}
    emptied: list[EmptiedTrait] = []
    for section, trait, value in _find_collections(ours):
        for other in _find_sections(theirs, section, trait):
            replacement = theirs[other][trait]
            if not replacement and value:
                emptied.append(EmptiedTrait(other, trait))
                combined = replacement
            else:
                combined = combine(value, replacement)
            merged.setdefault(other, {})[trait] = combined
            value = combined
        if trait in merged.get(section, {}) or _find_sections(theirs, section, trait):
            merged.setdefault(section, {})[trait] = value
    return merged, emptied


def _find_collections(traits: Sections) -> Iterator[tuple[str, str, Any]]:
    for section, values in traits.items():
        for trait, value in values.items():
            is_merged_here = trait not in (*REPLACED, *USER_LISTS)
            if isinstance(value, (list, dict, set, tuple)) and is_merged_here:
                yield section, trait, value


def _find_sections(theirs: Sections, section: str, trait: str) -> Sequence[str]:
    """Return the sections of `theirs` that set a trait of the class `section`, bases first."""
    family = next((family for family in FAMILIES if section in family), (section,))
    return [name for name in family if name in theirs and theirs[name].get(trait) is not None]


def combine(ours: Any, theirs: Any) -> Any:
    """Merge two lists or two maps: `theirs` comes first, then what of `ours` is missing.

    In a map a key of theirs wins. In a list of named items (services, roles) ours come last and
    win: JupyterHub would refuse a role for a service that is not there.
    """
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return {**ours, **theirs}
    if isinstance(theirs, Mapping) or isinstance(ours, Mapping):
        return theirs
    if isinstance(theirs, (set, frozenset)):
        return set(theirs) | set(ours)
    own_names = {item["name"] for item in ours if isinstance(item, Mapping) and "name" in item}
    kept = [
        item for item in theirs if not (isinstance(item, Mapping) and item.get("name") in own_names)
    ]
    return [*kept, *(item for item in ours if item not in kept)]
