"""Keys that admins type although they are no settings, with the fix for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tljh.settings.declaration import KeyPath
from tljh.settings.hub_options import find_refused
from tljh.settings.keys import format_key
from tljh.settings.migrations import find_migration

# Settings of other distributions of JupyterHub, by the last part of their keys.
_ELSEWHERE = {
    "storage_limit": "limits.disk",
    "storage_capacity": "limits.disk",
    "storage": "limits.disk",
    "quota": "limits.disk",
    "disk_quota": "limits.disk",
    "disk_limit": "limits.disk",
    "ram": "limits.memory",
    "mem_limit": "limits.memory",
    "memory_limit": "limits.memory",
    "mem_guarantee": "limits.memory_guarantee",
    "cpu_limit": "limits.cpu",
}

# Sections of other distributions, whose parts are settings of several sections here.
_SECTIONS_ELSEWHERE = {
    "default_server_options": "limits",
    "server_options": "limits",
    "resources": "limits",
    "kubespawner_override": "limits",
    "profile_list": "limits",
}

# Below `singleuser` in the configuration of the Helm chart.
_OF_THE_CHART: dict[KeyPath, str] = {
    ("memory", "limit"): "limits.memory",
    ("memory", "guarantee"): "limits.memory_guarantee",
    ("cpu", "limit"): "limits.cpu",
    ("storage", "capacity"): "limits.disk",
    ("defaultUrl",): "user_environment.default_app",
}


def find_fix_of_known_mistake(path: KeyPath, value: Any = None) -> str | None:
    """Return what to type in place of an unknown key that admins often try; None for others.

    `value` is what it has in the file: parts of a map may be settings of another name.
    """
    if isinstance(value, Mapping):
        fixes = dict(_find_fixes_below(path, value))
        if fixes:
            return "; ".join(f"for {key}: {fix}" for key, fix in fixes.items())
    first, last = str(path[0]), str(path[-1])
    parts = last.removeprefix("c.").split(".")
    if len(parts) > 1 and all(parts):
        # As on the command line; in the file, a dot is part of the name.
        nested = "".join(f"{part}: {{" for part in parts[:-1])
        return f"write {nested}{parts[-1]}: VALUE{'}' * (len(parts) - 1)}"
    if first == "c" and len(path) > 1 and str(path[1])[:1].isupper():
        # As in a drop-in; in config.yaml a section has the bare name of the class.
        return f"write it without `c.`: {format_key(path[1:])}"
    if path[:2] == ("hub", "config") and len(path) > 2:
        # As in the Helm chart, whose hub.config has the sections of classes.
        return f"write it without `hub.config.`: {format_key(path[2:])}"
    if first == "singleuser" and path[1:] in _OF_THE_CHART:
        return f"the setting is {_OF_THE_CHART[path[1:]]}"
    migration = find_migration(path)
    if migration is not None:
        return f"it {str(migration).partition(' ')[2]}"
    removed = find_refused(str(path[-2]), last) if len(path) > 1 else None
    if removed is not None:
        return removed.fix
    instead = _ELSEWHERE.get(last)
    if instead is None and last in _SECTIONS_ELSEWHERE:
        return f"these settings are in {_SECTIONS_ELSEWHERE[last]}: tljh-config describe limits"
    return f"the setting is {instead}" if instead is not None else None


def _find_fixes_below(path: KeyPath, value: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Yield the key and the fix of each known mistake in a map, each once."""
    for name, below in value.items():
        inner = (*path, str(name))
        fix = find_fix_of_known_mistake(inner, below)
        if fix is not None and isinstance(below, Mapping):
            yield from _find_fixes_below(inner, below)
        elif fix is not None:
            yield str(name), fix
