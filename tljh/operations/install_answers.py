"""The answers that the bootstrap collected, and what they add to config.yaml."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import HubEnvironmentFiles
from tljh.plugins.manager import call, installed_plugins
from tljh.settings.config_file import ConfigFile
from tljh.settings.declaration import KeyPath
from tljh.settings.trait_catalogue import Catalogue
from tljh.settings.yaml_changes import value_at, with_values
from tljh.settings.yaml_edit import add_item, set_value
from tljh.users.list_edits import ADMINS, add_names

FIRST_LINES = """\
# The configuration of this hub. Change it with `sudo tljh-config set KEY VALUE`, or edit it by
# hand with `sudo tljh-config edit`; `sudo tljh-config reload` applies changes.
# All settings: tljh-config describe
"""


@dataclass(frozen=True)
class Answers:
    """The bootstrap's options; `passwords` are by the name of the admin, from the command line."""

    hub_environment: Path
    admins: tuple[str, ...] = ()
    passwords: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    user_requirements: str | None = None
    conda_channels: tuple[str, ...] = ()
    http_port: int | None = None
    https_port: int | None = None
    plan: bool = False
    events_fd: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def read_answers(text: str) -> Answers:
    """Parse the JSON that the bootstrap writes to our standard input.

    Raises TljhError (usage) for anything that a bootstrap of this release does not write.
    """
    try:
        options: dict[str, Any] = json.loads(text)
        parts = [str(item).partition(":") for item in options.get("admins", [])]
        names = [(name.lower(), colon, password) for name, colon, password in parts]
        if any(colon and not password for _, colon, password in names):
            raise ValueError("an empty password")
        return Answers(
            hub_environment=Path(options["hub_environment"]),
            admins=tuple(dict.fromkeys(name for name, _, _ in names)),
            passwords={name: password for name, _, password in names if password},
            plugins=tuple(options.get("plugins", ())),
            user_requirements=options.get("user_requirements"),
            conda_channels=tuple(options.get("conda_channels", ())),
            http_port=options.get("http_port"),
            https_port=options.get("https_port"),
            plan=bool(options.get("plan")),
            events_fd=options.get("events_fd"),
            environment=dict(options.get("env", {})),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TljhError(
            "the answers on standard input are not those of a bootstrap of this release",
            why=f"{type(error).__name__}: {error}",
            fix="install with: sudo python3 bootstrap.py --admin NAME",
            exit_code=Exit.USAGE,
        ) from error


def configuration_with(answers: Answers, old: bytes, config_file: Path) -> bytes:
    """Return config.yaml with the answers added to its old content.

    Admins and plugins are added, never replaced; plugins' `tljh_config_post_install` runs last.
    The same answers again change nothing. Raises TljhError for content that no edit can change.
    """
    edit = ConfigFile(config_file).apply(
        lambda text: _with_answers(text, answers), old, validate=False
    )
    return edit.after.encode() if edit.is_change else old


def _with_answers(text: str, answers: Answers) -> str:
    if not text.strip():
        text = FIRST_LINES
    text = add_names(text, ADMINS, answers.admins)
    for spec in answers.plugins:
        text = _with_item(text, ("plugins", "packages"), spec)
    settings: tuple[tuple[KeyPath, Any], ...] = (
        (("user_environment", "channels"), list(answers.conda_channels) or None),
        (("http", "port"), answers.http_port),
        (("https", "port"), answers.https_port),
    )
    for path, value in settings:
        # Setting the same value again could change how it is written, so that is left out.
        if value is not None and value_at(text, path) != value:
            text = set_value(text, path, value)
    return _with_changes_of_plugins(text, _installed_classes(answers.hub_environment))


def _installed_classes(environment: Path) -> Collection[str]:
    """Return the names of the classes that a hub environment has; sections may configure them."""
    catalogue = HubEnvironmentFiles(environment).traits
    data = catalogue.read_bytes() if catalogue.is_file() else b""
    found = Catalogue.parse(data)
    return found.classes if found else ()


def _with_item(text: str, path: KeyPath, item: str) -> str:
    items = value_at(text, path)
    return text if isinstance(items, list) and item in items else add_item(text, path, item)


def _with_changes_of_plugins(text: str, classes: Collection[str]) -> str:
    """Return the text as plugins changed it; new sections of theirs go to plugins.sections."""
    from tljh.settings.root import Config

    values = value_at(text, ())
    before = dict(values) if isinstance(values, dict) else {}
    # TLJH's hook changes the values in place.
    values = deepcopy(before)
    call(installed_plugins(), "tljh_config_post_install", config=values)
    text = with_values(text, values)
    for name in map(str, values):
        is_setting = name in Config.model_fields or name in classes
        if name not in before and not is_setting:
            text = _with_item(text, ("plugins", "sections"), name)
    return text
