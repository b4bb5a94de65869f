"""TLJH's names, for its plugins: the configuration as plain values, and put into JupyterHub's.

Ours goes the way of `tljh.config.load` and `tljh.hub.configuration`; this wraps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tljh.settings.root import Config


def load_config(config_file: str | None = None) -> dict[str, Any]:
    """Return the settings of config.yaml, with defaults, as nested dictionaries.

    Raises TljhError when the file is wrong.
    """
    from tljh.base.paths import get_paths
    from tljh.settings.load import load
    from tljh.settings.plugin_sections import extend_config

    paths = get_paths()
    file = Path(config_file) if config_file else paths.config_file
    record = paths.hub_files.contributions
    model = extend_config(record.read_bytes() if record.is_file() else b"")
    config = load(file, model=model).model_dump()
    config["traefik_api"]["password"] = config["traefik_api"]["password"] or _api_secret()
    return config


def _api_secret() -> str:
    """Return the generated password of Traefik's API; empty where the caller may not read it."""
    from tljh.base.paths import get_paths
    from tljh.host.real import RealReader
    from tljh.host.secret_files import read_token

    try:
        return read_token(RealReader(), get_paths().api_secret) or ""
    except PermissionError:
        return ""


def apply_config(config_overrides: Mapping[str, Any], c: Any) -> None:
    """Set JupyterHub's traits in `c` to what follows from settings, defaults included."""
    from tljh.base.paths import get_paths
    from tljh.hub.configuration import build_hub_configuration
    from tljh.settings.load import load
    from tljh.settings.yaml_text import convert_to_yaml, format_flow

    overrides = convert_to_yaml(dict(config_overrides))
    config = load(format_flow(overrides).encode(), path="the given configuration")
    _put(build_hub_configuration(config, get_paths()), c)
    # What our hub keeps elsewhere or has by names of our own, where plugins look for it.
    _put(_as_tljh(config, overrides), c)
    _put(config.auth.classes, c)
    _put(config.traitlets, c)


def _put(traits: Mapping[str, Mapping[str, Any]], c: Any) -> None:
    for name, values in traits.items():
        for trait, value in values.items():
            c[name][trait] = value


def _as_tljh(config: Config, overrides: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    from tljh.settings.sections.limits import AUTO

    api, limits = config.traefik_api, config.limits
    # TLJH has no limit where none is set; ours is then worked out from the machine.
    set_limits: dict[str, Any] = {
        trait: getattr(limits, name) if name in limits.model_fields_set else None
        for trait, name in (("mem_limit", "memory"), ("cpu_limit", "cpu"))
    }
    if set_limits["mem_limit"] == AUTO:
        set_limits["mem_limit"] = None
    return {
        "JupyterHub": {
            "authenticator_class": config.auth.type,
            "base_url": overrides.get("base_url", config.base_url),
        },
        "TraefikProxy": {
            "traefik_api_username": api.username,
            "traefik_api_password": api.password or _api_secret(),
        },
        "Spawner": set_limits,
        "SystemdSpawner": {name: value for name, value in set_limits.items() if value is not None},
    }


def __getattr__(name: str) -> Any:
    if name == "CONFIG_FILE":
        from tljh.base.paths import get_paths

        return str(get_paths().config_file)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
