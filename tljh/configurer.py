"""TLJH's names, for its plugins: the configuration as plain values, and put into JupyterHub's.

Ours goes the way of `tljh.config.load` and `tljh.hub.configuration`; this wraps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def load_config(config_file: str | None = None) -> dict[str, Any]:
    """The configuration with its defaults. Raises TljhError when it is wrong."""
    from tljh.config import load
    from tljh.paths import paths_from_environment

    file = Path(config_file) if config_file else paths_from_environment().config_file
    return load(file).model_dump()


def apply_config(config_overrides: Mapping[str, Any], c: Any) -> None:
    """Put what follows from a configuration, with its defaults, into JupyterHub's `c`."""
    from tljh.config import load
    from tljh.hub.configuration import hub_configuration
    from tljh.paths import paths_from_environment
    from tljh.yamledit import flow_text

    config = load(flow_text(dict(config_overrides)).encode(), path="the given configuration")
    for name, values in hub_configuration(config, paths_from_environment()).items():
        for trait, value in values.items():
            c[name][trait] = value
    # Our servers read their limits as they start; TLJH's are traits, which plugins look at.
    for trait, setting in (("mem_limit", "memory"), ("cpu_limit", "cpu")):
        if setting in config.limits.model_fields_set:
            c.SystemdSpawner[trait] = getattr(config.limits, setting)


def __getattr__(name: str) -> Any:
    if name == "CONFIG_FILE":
        from tljh import config

        return config.CONFIG_FILE
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
