"""TLJH's names for the configuration, kept for its plugins, and the way to load it.

`Config` and `load` are in `tljh.settings`, the paths in `tljh.base.paths`, the editing in
`tljh.settings.config_file`. Nothing inside tljh imports this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.settings.load import check as check
from tljh.settings.load import examine as examine
from tljh.settings.load import load as load
from tljh.settings.root import Config as Config

if TYPE_CHECKING:
    from tljh.settings.config_file import ConfigFile

_LAZY_PATHS = {
    "INSTALL_PREFIX": "prefix",
    "HUB_ENV_PREFIX": "hub",
    "USER_ENV_PREFIX": "user",
    "STATE_DIR": "state_dir",
    "CONFIG_DIR": "config_dir",
    "CONFIG_FILE": "config_file",
}


def __getattr__(name: str) -> Any:
    """Return one of TLJH's path constants, such as `CONFIG_FILE`.

    They depend on the environment, so each use reads it again.
    """
    if name in _LAZY_PATHS:
        from tljh.base.paths import get_paths

        return str(getattr(get_paths(), _LAZY_PATHS[name]))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def set_config_value(config_path: str, key_path: str, value: Any, validate: bool = True) -> None:
    """Set a key in config.yaml to a value."""
    from tljh.settings.yaml_edit import set_value
    from tljh.settings.yaml_text import convert_to_yaml

    file = _file(config_path)
    path = file.parse_key(key_path)
    file.change(
        lambda text: set_value(text, path, convert_to_yaml(value)), key_path=path, validate=validate
    )


def unset_config_value(config_path: str, key_path: str, validate: bool = True) -> None:
    """Remove a key. Raises ValueError, as TLJH does, when it is not set."""
    from tljh.settings.yaml_changes import MISSING, read_value_at
    from tljh.settings.yaml_edit import unset_value

    file = _file(config_path)
    path = file.parse_key(key_path)
    if read_value_at(file.document().text, path) is MISSING:
        raise ValueError(f"{key_path} does not exist in config!")
    file.change(lambda text: unset_value(text, path), key_path=path, validate=validate)


def add_config_value(config_path: str, key_path: str, value: Any, validate: bool = True) -> None:
    """Add an item to a list in config.yaml, unless the list has it."""
    from tljh.settings.yaml_changes import read_value_at
    from tljh.settings.yaml_edit import add_item

    file = _file(config_path)
    path = file.parse_key(key_path)
    items = read_value_at(file.document().text, path)
    if isinstance(items, list) and value in items:
        return
    file.change(lambda text: add_item(text, path, value), key_path=path, validate=validate)


def remove_config_value(config_path: str, key_path: str, value: Any, validate: bool = True) -> None:
    """Remove an item from a list. Raises ValueError, as TLJH does, when the list lacks it."""
    from tljh.settings.yaml_changes import read_value_at
    from tljh.settings.yaml_edit import remove_item

    file = _file(config_path)
    path = file.parse_key(key_path)
    items = read_value_at(file.document().text, path)
    if not isinstance(items, list):
        raise ValueError(f"{key_path} is not a list")
    index = items.index(value)
    file.change(lambda text: remove_item(text, path, index), key_path=path, validate=validate)


def reload_component(component: str) -> None:
    """Apply every change of the configuration, whichever component (hub or proxy) is named."""
    import sys

    from tljh.base.errors import TljhError
    from tljh.base.paths import get_paths
    from tljh.base.progress import choose_progress
    from tljh.host.real import RealHost
    from tljh.operations.converge import converge
    from tljh.operations.install_and_reload import make_reload_request

    if component not in ("hub", "proxy"):
        raise TljhError(f"there is no component {component!r} to reload, only hub and proxy")
    paths, host = get_paths(), RealHost()
    converge(host, paths, make_reload_request(host, paths, "reload"), choose_progress(sys.stderr))


def _file(config_path: str) -> ConfigFile:
    from tljh.operations.referenced_files import find_referenced_file_problems
    from tljh.settings.config_file import ConfigFile

    return ConfigFile(Path(config_path), file_problems=find_referenced_file_problems)
