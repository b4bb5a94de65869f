"""Traits in effect: lists and maps that tljh fills itself, merged with those of config.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tljh.base.paths import Paths
from tljh.settings.yaml_changes import MISSING

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath
    from tljh.settings.root import Config


def read_effective_trait(config: Config, paths: Paths, path: KeyPath) -> Any:
    """Return what the hub gets for `<Class>.<trait>` or `auth.<Class>.<trait>`, or MISSING.

    It is what tljh sets and config.yaml changes. Drop-ins and plugins, which the hub loads, are not
    included. Sets are returned as sorted lists.
    """
    steps = path[1:] if path[:1] == ("auth",) else path
    if len(steps) < 2 or not str(steps[0])[:1].isupper():
        return MISSING
    # Imported here: it takes longer than reading a setting, which most commands do.
    from tljh.hub.configuration import build_hub_configuration
    from tljh.hub.trait_layers import FAMILIES

    traits = build_hub_configuration(config, paths)
    section, trait = str(steps[0]), str(steps[1])
    for name in _list_sections(section, FAMILIES):
        value = traits.get(name, {}).get(trait, MISSING)
        if value is not MISSING:
            return _follow(sorted(value) if isinstance(value, (set, frozenset)) else value, steps)
    return MISSING


def _list_sections(section: str, families: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    """Yield the sections that decide a trait of a class, the most specific first."""
    family = next((family for family in families if section in family), (section,))
    yield section
    yield from (name for name in reversed(family) if name != section)


def _follow(value: Any, steps: KeyPath) -> Any:
    for step in steps[2:]:
        if not isinstance(value, dict) or step not in value:
            return MISSING
        value = value[step]
    return value
