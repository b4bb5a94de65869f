"""`tljh-config describe` and `schema`: what can be configured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh.base.errors import TljhError
from tljh.commands.auth import LoginPage
from tljh.commands.key_completion import KeyArgument
from tljh.host.real import RealHost
from tljh.operations.installed_config import open_installed_file
from tljh.operations.login_ways import describe_login
from tljh.operations.setting_descriptions import describe_settings
from tljh.settings.login_providers import PROVIDER_NAMES
from tljh.settings.reference import SettingHelp, build_json_schema


@dataclass(frozen=True)
class SettingPage:
    """One setting in detail, or a line for each of several."""

    settings: Sequence[SettingHelp]

    def as_text(self) -> str:
        if len(self.settings) == 1:
            return self.settings[0].as_text()
        settings = [setting for setting in self.settings if not setting.is_section]
        width = max(len(setting.key) for setting in settings)
        return "\n".join(f"{setting.key.ljust(width)}  {setting.help}" for setting in settings)

    def as_json(self) -> list[dict[str, Any]]:
        return [setting.as_json() for setting in self.settings]


@dataclass(frozen=True)
class ConfigSchema:
    """The JSON Schema of config.yaml."""

    content: dict[str, Any]

    def as_text(self) -> str:
        return json.dumps(self.content, indent=2, ensure_ascii=False)

    def as_json(self) -> dict[str, Any]:
        return self.content


def describe(key: KeyArgument = "", *, config_path: Path | None = None) -> SettingPage | LoginPage:
    """Print what a key is for, its type, default and cost; without a key, list all settings.

    `auth.github` and the like print what that way to log in needs.
    """
    section, _, login = key.partition(".")
    if section == "auth" and login in PROVIDER_NAMES:
        return LoginPage(describe_login(login))
    return SettingPage(describe_settings(open_installed_file(config_path), key, RealHost()))


def schema() -> ConfigSchema:
    """Print the JSON Schema of config.yaml, for editors."""
    file = open_installed_file()
    try:
        sections = file.examine().config.plugins.sections
    except TljhError:  # Users who may not read the file get the schema without these sections.
        sections = []
    return ConfigSchema(build_json_schema(file.model, sections))
