"""TLJH's name, for its plugins: `from tljh.yaml import yaml` loads and dumps configurations.

Ours are edited by `tljh.settings.yaml_edit`, which leaves the rest of a file as it is.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """`yaml` is made when it is asked for, so that importing this module costs nothing."""
    if name == "yaml":
        from ruamel.yaml import YAML

        made = YAML(typ="rt")
        made.default_flow_style = False
        made.preserve_quotes = True
        globals()["yaml"] = made
        return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
