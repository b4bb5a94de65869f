"""Which plugins the hub loads: those that are left out, and those that it must load.

It is a file of the applied configuration, so that a plugin that was found out in a trial of the
configuration is not loaded by the hub.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tljh.base.errors import Finding, TljhError


@dataclass(frozen=True)
class PluginSelection:
    """`left_out` are plugins with their mistakes; `required`, those without which no hub starts.

    `settings` are the values of the sections that plugins declare. `inputs` identifies what the
    trial loaded that found the mistakes: with other inputs, the plugins are tried again.
    """

    left_out: Mapping[str, Finding] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: str = ""

    def as_json(self) -> bytes:
        value = {
            "left_out": {name: finding.as_json() for name, finding in self.left_out.items()},
            "required": list(self.required),
            "settings": self.settings,
            "inputs": self.inputs,
        }
        return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def parse_names(data: bytes | None) -> frozenset[str]:
    """Return the names in a file of names, such as `Paths.login_plugins`; none if it is missing."""
    try:
        return frozenset(map(str, json.loads(data or b"[]")))
    except (ValueError, TypeError):
        return frozenset()


class PluginsFailed(TljhError):
    """Plugins that made mistakes in a trial; the configuration works without them."""

    def __init__(self, failures: Mapping[str, Finding]) -> None:
        super().__init__(tuple(failures.values()))
        self.failures = failures


def parse_selection(data: bytes | None) -> PluginSelection:
    """Return the selection in a file; an empty one where it is missing or of another release."""
    try:
        value = json.loads(data or b"{}")
        return PluginSelection(
            {name: Finding.from_json(item) for name, item in value["left_out"].items()},
            tuple(value["required"]),
            value.get("settings", {}),
            value["inputs"],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return PluginSelection()
