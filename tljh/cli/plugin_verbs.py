"""The verbs of plugins: `tljh PLUGIN VERB`, as recorded with the hub environment.

No code of a plugin runs before one of its verbs is used, or asked for its help.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from tljh.base.paths import get_paths
from tljh.cli.verbs import VerbGroup, import_function

PREFIX = "plugin"


@dataclass(frozen=True)
class PluginText:
    """A text that a plugin's verb returned."""

    text: str

    def as_text(self) -> str:
        return self.text

    def as_json(self) -> dict[str, str]:
        return {"text": self.text}


def add_plugin_verbs(group: VerbGroup) -> VerbGroup:
    """Return the verbs of `tljh` with those of plugins; a plugin cannot replace one of ours."""
    record = get_paths().hub_files.contributions
    data = record.read_bytes() if record.is_file() else b""
    if b'"commands"' not in data:
        return group
    import json

    groups: dict[str, str | VerbGroup] = {}
    try:
        for name, answer in json.loads(data)["plugins"].items():
            commands = answer.get("commands") or {}
            verbs = {verb: f"{PREFIX}:{name}:{path}" for verb, path in commands.items()}
            if verbs and name not in group.verbs:
                groups[name] = VerbGroup(f"Commands of the plugin {name}.", verbs)
    except (ValueError, KeyError, TypeError, AttributeError):
        return group
    return replace(group, verbs={**group.verbs, **groups})


def import_verb(reference: str) -> Callable[..., Any]:
    """Import the function of a verb; one of a plugin has its errors named with file and line."""
    if not reference.startswith(f"{PREFIX}:"):
        return import_function(reference)
    from tljh.plugins.guard import run_as_plugin

    _, plugin, path = reference.split(":", 2)
    function = run_as_plugin(plugin, "when it is imported", lambda: import_function(path))

    @wraps(function)
    def call(**values: Any) -> Any:
        result = run_as_plugin(plugin, "in its command", lambda: function(**values))
        return PluginText(result) if isinstance(result, str) else result

    return call
