"""Keys that admins type although they are no settings, with the fix for each."""

from __future__ import annotations

from tljh.settings.declaration import KeyPath
from tljh.settings.keys import key_text

# Settings of other distributions of JupyterHub, by the last part of their keys.
_ELSEWHERE = {
    "storage_limit": "limits.disk",
    "storage_capacity": "limits.disk",
    "mem_limit": "limits.memory",
    "memory_limit": "limits.memory",
    "mem_guarantee": "limits.memory_guarantee",
    "cpu_limit": "limits.cpu",
}


def fix_of_known_mistake(path: KeyPath) -> str | None:
    """Return what to type instead of an unknown key; None if there is no known answer."""
    first, last = str(path[0]), str(path[-1])
    if first == "c" and len(path) > 1 and str(path[1])[:1].isupper():
        # As in a drop-in; in config.yaml a section has the bare name of the class.
        return f"write it without `c.`: {key_text(path[1:])}"
    instead = _ELSEWHERE.get(last)
    return f"the setting is {instead}" if instead is not None else None
