"""`tljh-config describe` and `schema`: what can be configured."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tljh.commands.auth import Described as DescribedLogin
from tljh.commands.auth import describe as describe_login
from tljh.commands.key_completion import KeyArgument
from tljh.host.real import RealHost
from tljh.operations.installed_config import installed_file
from tljh.settings.config_file import ConfigFile
from tljh.settings.declaration import KeyPath
from tljh.settings.login_providers import PROVIDER_NAMES
from tljh.settings.reference import Described, all_settings, described_trait, json_schema
from tljh.settings.root import Config
from tljh.singleuser.limits import computed_here, machine_size


@dataclass(frozen=True)
class Description:
    """What can be said about a key and what stands below it."""

    settings: tuple[Described, ...]

    def as_text(self) -> str:
        if len(self.settings) == 1:
            return self.settings[0].as_text()
        width = max(len(one.key) for one in self.settings if not one.is_section)
        return "\n".join(
            f"{one.key.ljust(width)}  {one.help}" for one in self.settings if not one.is_section
        )

    def as_json(self) -> list[dict[str, Any]]:
        return [one.as_json() for one in self.settings]


@dataclass(frozen=True)
class Schema:
    """The JSON Schema of config.yaml."""

    content: dict[str, Any]

    def as_text(self) -> str:
        return json.dumps(self.content, indent=2, ensure_ascii=False)

    def as_json(self) -> dict[str, Any]:
        return self.content


def describe(
    key: KeyArgument = "", *, config_path: Path | None = None
) -> Description | DescribedLogin:
    """Tell what a key is for, its type, default and cost; without a key, list all settings.

    `auth.github` and the like tell what that way to log in needs.
    """
    settings = tuple(all_settings(Config))
    if not key:
        return Description(settings)
    section, _, login = key.partition(".")
    if section == "auth" and login in PROVIDER_NAMES:
        return describe_login(login)
    file = installed_file(config_path)
    path, _ = file.look_up(key)
    exact = [one for one in settings if one.key == key and not one.is_section]
    below = [one for one in settings if one.key.startswith(f"{key}.")]
    if exact or below:
        return Description(tuple(_as_here(one) for one in exact or below))
    traits = _traits(file, path)
    if traits:
        return Description(traits)
    # A name within a map, such as a group of users.extra_user_groups.
    for one in settings:
        if key.startswith(f"{one.key}.") and not one.is_section:
            return Description((one,))
    return Description((Described(key, "Belongs to a plugin, and is not checked.", "anything"),))


def _as_here(one: Described) -> Described:
    """With what a default comes to that depends on the machine."""
    computed = computed_here(machine_size(RealHost()))
    return replace(one, here=computed[one.key]) if one.key in computed else one


def _traits(file: ConfigFile, path: KeyPath) -> tuple[Described, ...]:
    """Traits of the class that a path names, or the one that it ends in."""
    catalogue = file.catalogue
    steps = path[1:] if path[0] == "auth" else path
    if catalogue is None or not steps or str(steps[0]) not in catalogue.classes:
        return ()
    prefix = "auth." if path[0] == "auth" else ""
    name = str(steps[0])
    wanted = [str(steps[1])] if len(steps) > 1 else catalogue.trait_names(name)
    found = [(f"{prefix}{name}.{trait}", catalogue.trait(name, trait)) for trait in wanted]
    return tuple(described_trait(key, trait) for key, trait in found if trait is not None)


def schema() -> Schema:
    """Print the JSON Schema of config.yaml, for editors."""
    from tljh.base.errors import TljhError

    try:
        sections = installed_file().examine().config.plugins.sections
    except TljhError:  # somebody who cannot read the file may still have the schema
        sections = []
    return Schema(json_schema(Config, sections))
