"""Descriptions of settings and traits by key, with defaults that depend on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tljh.base.paths import get_paths
from tljh.host.interface import HostReader
from tljh.operations.effective_traits import read_effective_trait
from tljh.settings.config_file import ConfigFile
from tljh.settings.declaration import KeyPath
from tljh.settings.redaction import redact
from tljh.settings.reference import PLACEHOLDER, SettingHelp, describe_all, describe_trait
from tljh.settings.root import Config
from tljh.settings.yaml_changes import MISSING
from tljh.settings.yaml_text import format_flow
from tljh.singleuser.limits import describe_defaults, read_machine_size


def describe_settings(file: ConfigFile, key: str, host: HostReader) -> Sequence[SettingHelp]:
    """Describe a setting, or every setting below a section; all, for an empty key.

    Raises TljhError, with the nearest name, for an unknown key.
    """
    settings = tuple(describe_all(file.model))
    if not key:
        return settings
    path, _ = file.look_up(key)
    key = _generalize(key, settings)
    exact = [item for item in settings if item.key == key and not item.is_section]
    below = [item for item in settings if item.key.startswith(f"{key}.")]
    if exact or below:
        computed = describe_defaults(read_machine_size(host))
        return [replace(item, here=computed.get(item.key, item.here)) for item in exact or below]
    traits = _describe_traits(file, path)
    if traits:
        return traits
    # A name within a map, such as a group of users.extra_user_groups.
    for item in settings:
        if key.startswith(f"{item.key}.") and not item.is_section:
            return [item]
    return [SettingHelp(key, "A setting of a plugin; it is not checked.", "anything")]


def _generalize(key: str, settings: Sequence[SettingHelp]) -> str:
    """Return the key of a setting in a section that the admin named, as it is documented."""
    names = key.split(".")
    if len(names) > 1:
        names[1] = PLACEHOLDER
    documented = ".".join(names)
    keys = {item.key for item in settings}
    is_own = any(each == documented or each.startswith(f"{documented}.") for each in keys)
    is_ours = any(each == key or each.startswith(f"{key}.") for each in keys)
    return documented if is_own and not is_ours else key


def _describe_traits(file: ConfigFile, path: KeyPath) -> Sequence[SettingHelp]:
    """Describe the trait that a path names; all traits, if the path ends with a class."""
    catalogue = file.catalogue
    steps = path[1:] if path[0] == "auth" else path
    if catalogue is None or not steps or str(steps[0]) not in catalogue.classes:
        return ()
    prefix = "auth." if path[0] == "auth" else ""
    name = str(steps[0])
    names = [str(steps[1])] if len(steps) > 1 else catalogue.list_trait_names(name)
    traits = [(f"{prefix}{name}.{trait}", catalogue.find_trait(name, trait)) for trait in names]
    config = file.examine().config
    return [
        replace(
            describe_trait(key, trait),
            here=_format_effective(config, (name, key.rpartition(".")[2])),
        )
        for key, trait in traits
        if trait is not None
    ]


def _format_effective(config: Config, path: KeyPath) -> str | None:
    """Return the value that the hub gets for a trait, where tljh or config.yaml sets one."""
    value = read_effective_trait(config, get_paths(), path)
    return None if value is MISSING else format_flow(redact(value, path))
