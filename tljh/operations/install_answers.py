"""The answers that the bootstrap collected, and what they add to config.yaml."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pluggy import HookImpl

from tljh.base.errors import Exit, Finding, TljhError
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.plugins.guard import PluginError, find_code_place
from tljh.plugins.manager import call_implementation, load_installed_plugins
from tljh.settings.config_file import ConfigFile
from tljh.settings.declaration import KeyPath
from tljh.settings.load import check
from tljh.settings.migrations import migrate_settings
from tljh.settings.trait_catalogue import Catalogue
from tljh.settings.yaml_changes import change_values, read_value_at
from tljh.settings.yaml_edit import add_item, set_value
from tljh.users.list_edits import ADMINS, add_names

FIRST_LINES = """\
# The configuration of this hub. Change it with `sudo tljh-config set KEY VALUE`, or edit it by
# hand with `sudo tljh-config edit`; `sudo tljh-config reload` applies changes.
# All settings: tljh-config describe
"""


@dataclass(frozen=True)
class InstallAnswers:
    """The bootstrap's options; `passwords` are by the name of the admin, from the command line.

    `claim_code` takes the place of the token in the claim of the only admin that is named. In a
    rollback to this release, `database` is the copy that replaces the hub's database, and `files`
    are the admins' files of that time.
    """

    hub_environment: Path
    admins: tuple[str, ...] = ()
    passwords: Mapping[str, str] = field(default_factory=dict)
    claim_code: str | None = None
    plugins: tuple[str, ...] = ()
    hub_packages: tuple[str, ...] = ()
    user_requirements: str | None = None
    conda_channels: tuple[str, ...] = ()
    restore: str | None = None
    restore_key: str | None = field(default=None, repr=False)
    snapshot: str | None = None
    http_port: int | None = None
    https_port: int | None = None
    plan: bool = False
    events_fd: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    database: Path | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def claim_codes(self) -> Mapping[str, str]:
        """The claim code, by the name of its admin."""
        return dict.fromkeys(self.admins, self.claim_code) if self.claim_code else {}


def read_answers(text: str) -> InstallAnswers:
    """Parse the bootstrap's options, which it passes as JSON on standard input.

    Raises TljhError (usage) for anything that a bootstrap of this release does not write.
    """
    try:
        options: dict[str, Any] = json.loads(text)
        parts = [str(item).partition(":") for item in options.get("admins", [])]
        names = [(name.lower(), colon, password) for name, colon, password in parts]
        if any(colon and not password for _, colon, password in names):
            raise ValueError("an empty password")
        return InstallAnswers(
            hub_environment=Path(options["hub_environment"]),
            admins=tuple(dict.fromkeys(name for name, _, _ in names)),
            passwords={name: password for name, _, password in names if password},
            claim_code=options.get("claim_code"),
            plugins=tuple(options.get("plugins", ())),
            hub_packages=tuple(options.get("hub_packages", ())),
            user_requirements=options.get("user_requirements"),
            conda_channels=tuple(options.get("conda_channels", ())),
            restore=options.get("restore"),
            restore_key=options.get("restore_key"),
            snapshot=options.get("snapshot"),
            http_port=options.get("http_port"),
            https_port=options.get("https_port"),
            plan=bool(options.get("plan")),
            events_fd=options.get("events_fd"),
            environment=dict(options.get("env", {})),
            database=Path(options["database"]) if options.get("database") else None,
            files={name: base64.b64decode(data) for name, data in options.get("files", {}).items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TljhError(
            "the answers on standard input are not those of a bootstrap of this release",
            why=f"{type(error).__name__}: {error}",
            fix="install with: sudo python3 bootstrap.py --admin NAME",
            exit_code=Exit.USAGE,
        ) from error


@dataclass
class PluginChanges:
    """What plugins did to config.yaml: the mistakes of those that failed, and added sections.

    `sections` are the names of new sections, by plugin.
    """

    mistakes: list[Finding] = field(default_factory=list)
    sections: dict[str, list[str]] = field(default_factory=dict)


def add_answers(
    answers: InstallAnswers, old: bytes, config_file: Path, changes: PluginChanges | None = None
) -> bytes:
    """Return config.yaml with the bootstrap's options added to its old content.

    Admins and plugins are added, never replaced; plugins' `tljh_config_post_install` runs last. The
    same options again change nothing. `changes` gets what plugins did. Raises TljhError for content
    that no edit can change, and for a required plugin that fails.
    """
    changes = changes or PluginChanges()
    # A change that is planned again calls this again.
    changes.mistakes.clear()
    edit = ConfigFile(config_file).apply(
        lambda text: _apply_answers(text, answers, changes), old, validate=False
    )
    return edit.after.encode() if edit.is_change else old


def _apply_answers(text: str, answers: InstallAnswers, changes: PluginChanges) -> str:
    if not text.strip():
        text = FIRST_LINES
    text = migrate_settings(text).text
    text = add_names(text, ADMINS, answers.admins)
    for spec in answers.plugins:
        text = _append_item(text, ("plugins", "packages"), spec)
    for spec in answers.hub_packages:
        text = _append_item(text, ("hub", "packages"), spec)
    settings: tuple[tuple[KeyPath, Any], ...] = (
        (("user_environment", "channels"), list(answers.conda_channels) or None),
        (("http", "port"), answers.http_port),
        (("https", "port"), answers.https_port),
    )
    for path, value in settings:
        # Setting the same value again could change how it is written, so that is left out.
        if value is not None and read_value_at(text, path) != value:
            text = set_value(text, path, value)
    catalogue = find_installed_classes(answers.hub_environment)
    return _apply_plugin_changes(text, catalogue.classes if catalogue else (), changes)


def find_installed_classes(environment: Path) -> Catalogue | None:
    """Return the classes in a hub environment, which sections may configure; None if unknown."""
    catalogue = HubEnvironmentFiles(environment).traits
    data = catalogue.read_bytes() if catalogue.is_file() else b""
    return Catalogue.parse(data)


def _append_item(text: str, path: KeyPath, item: str) -> str:
    items = read_value_at(text, path)
    return text if isinstance(items, list) and item in items else add_item(text, path, item)


def _apply_plugin_changes(text: str, classes: Collection[str], changes: PluginChanges) -> str:
    """Return the text after `tljh_config_post_install` of all plugins.

    Sections that a plugin adds are listed in plugins.sections, which allows them. The changes of a
    plugin that fails are left out, and `changes` gets its mistake.
    """
    for implementation in load_installed_plugins().hook.tljh_config_post_install.get_hookimpls():
        values = read_value_at(text, ())
        before = dict(values) if isinstance(values, dict) else {}
        # TLJH's hook changes the values in place.
        values = deepcopy(before)
        try:
            call_implementation(implementation, "tljh_config_post_install", config=values)
            text = _write_values(text, before, values, classes, implementation)
            added = [name for name in map(str, values) if name not in before]
            sections = changes.sections.setdefault(implementation.plugin_name, [])
            sections += [name for name in added if name not in sections]
        except PluginError as error:
            required = read_value_at(text, ("plugins", "required"))
            if isinstance(required, list) and error.plugin in required:
                raise
            changes.mistakes.append(error.finding)
    return text


def _write_values(
    text: str,
    before: Mapping[str, Any],
    values: Mapping[Any, Any],
    classes: Collection[str],
    implementation: HookImpl,
) -> str:
    """Return the text with what one plugin changed. Raises PluginError if it is a mistake."""
    from tljh.settings.root import Config

    changed = change_values(text, values)
    for name in map(str, values):
        is_setting = name in Config.model_fields or name in classes
        if name not in before and not is_setting:
            changed = _append_item(changed, ("plugins", "sections"), name)
    previous = {finding.what for finding in check(text.encode())}
    for finding in check(changed.encode()):
        if finding.what not in previous:
            plugin = implementation.plugin_name
            what = f"plugin {plugin} writes a mistake into config.yaml: {finding.what}"
            place = find_code_place(implementation.function)
            raise PluginError(plugin, Finding(what, place, finding.why, finding.fix))
    return changed
