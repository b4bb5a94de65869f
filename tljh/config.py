"""The configuration: every setting, composed of its owners' sections; and how to load it.

`load` is the one way from a file to a `Config`; it refuses what is wrong with all findings at
once. The names that plugins import from here (`INSTALL_PREFIX` …, `set_config_value` …) are
kept for them; the paths live in `tljh.base.paths`, the editing in `tljh.settings.config_file`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.settings.config_file import ConfigFile
from tljh.settings.load import check as check
from tljh.settings.load import examine as examine
from tljh.settings.load import load as load
from tljh.settings.root import Config as Config

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath

_LAZY_PATHS = {
    "INSTALL_PREFIX": "prefix",
    "HUB_ENV_PREFIX": "hub",
    "USER_ENV_PREFIX": "user",
    "STATE_DIR": "state_dir",
    "CONFIG_DIR": "config_dir",
    "CONFIG_FILE": "config_file",
}


_EDITING = ("set_config_value", "unset_config_value", "add_config_value", "remove_config_value")


def __getattr__(name: str) -> Any:
    """Names for TLJH's plugins: they depend on the environment, so they resolve when asked for."""
    if name in _LAZY_PATHS:
        from tljh.base.paths import paths_from_environment

        return str(getattr(paths_from_environment(), _LAZY_PATHS[name]))
    if name in _EDITING or name == "reload_component":
        from tljh.settings import config_file as configfile

        return getattr(configfile, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def set_config_value(config_path: str, key_path: str, value: Any, validate: bool = True) -> None:
    """TLJH's name, for its plugins: set a key to a value."""
    from tljh.settings.yaml_edit import as_yaml, set_value

    path = _key(config_path, key_path)
    ConfigFile(Path(config_path)).change(
        lambda text: set_value(text, path, as_yaml(value)), at=path, validate=validate
    )


def unset_config_value(config_path: str, key_path: str, validate: bool = True) -> None:
    """TLJH's name: remove a key. Raises ValueError, as TLJH does, when it is not there."""
    from tljh.settings.yaml_edit import unset_value

    path = _key(config_path, key_path)
    if _value(config_path, path) is _MISSING:
        raise ValueError(f"{key_path} does not exist in config!")
    ConfigFile(Path(config_path)).change(
        lambda text: unset_value(text, path), at=path, validate=validate
    )


def add_config_value(config_path: str, key_path: str, value: Any, validate: bool = True) -> None:
    """TLJH's name: add an item to a list; one that is there already is not added again."""
    from tljh.settings.yaml_edit import add_item

    path = _key(config_path, key_path)
    found = _value(config_path, path)
    if isinstance(found, list) and value in found:
        return
    ConfigFile(Path(config_path)).change(
        lambda text: add_item(text, path, value), at=path, validate=validate
    )


def remove_config_value(config_path: str, key_path: str, value: Any, validate: bool = True) -> None:
    """TLJH's name: remove an item. Raises ValueError, as TLJH does, when it is not there."""
    from tljh.settings.yaml_edit import remove_item

    path = _key(config_path, key_path)
    found = _value(config_path, path)
    if not isinstance(found, list):
        raise ValueError(f"{key_path} is not a list")
    index = found.index(value)
    ConfigFile(Path(config_path)).change(
        lambda text: remove_item(text, path, index), at=path, validate=validate
    )


def reload_component(component: str) -> None:
    """TLJH's name: apply the configuration, all of what changed."""
    from importlib import import_module

    # Applying is a command's business, above us; the name is here because TLJH has it here.
    import_module("tljh.commands.reload").reload(component)


class _Missing:
    pass


_MISSING = _Missing()


def _key(config_path: str, key_path: str) -> KeyPath:
    return ConfigFile(Path(config_path)).key(key_path)


def _value(config_path: str, path: KeyPath) -> Any:
    root = ConfigFile(Path(config_path)).document().root
    if root is None:
        return _MISSING
    _, node, depth = root.find(path)
    return node.value() if depth == len(path) else _MISSING
