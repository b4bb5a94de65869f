"""TLJH's name, for its plugins: `from tljh.yaml import yaml` loads and dumps configurations.

Ours are edited by `tljh.settings.yaml_edit`, which leaves the rest of a file as it is.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """Return `yaml`, TLJH's parser; it is made at its first use, because its import takes long."""
    if name == "yaml":
        from ruamel.yaml import YAML

        parser = YAML(typ="rt")
        parser.default_flow_style = False
        parser.preserve_quotes = True
        globals()["yaml"] = parser
        return parser
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
