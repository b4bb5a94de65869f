"""The requests of install, reload and rollback: what each changes besides the configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.well_known import HUB_UNIT, PROXY_UNIT
from tljh.conda.resource import UserEnvironmentPresent
from tljh.engine.facts import Facts
from tljh.engine.file_resources import File
from tljh.engine.resource import Resource
from tljh.host.interface import HostReader
from tljh.host.password_store import hash_password
from tljh.operations.converge import HEALTH_DEADLINE_S, Request, unchanged
from tljh.operations.install_answers import Answers, configuration_with
from tljh.operations.installed_config import installed_configuration
from tljh.plugins.manager import Contributions, plugin_names
from tljh.plugins.post_install import PluginInstallations
from tljh.settings.derived import uses_claims, uses_first_use
from tljh.systemd.unit_resource import Unit
from tljh.users.facts import UserFacts
from tljh.users.first_passwords import FirstPasswords
from tljh.users.resources import new_claims

if TYPE_CHECKING:
    from tljh.settings.root import Config

UNITS = {"hub": HUB_UNIT, "proxy": PROXY_UNIT}


def request_of(answers: Answers, paths: Paths) -> Request:
    """Return the change that an installation makes to the configuration and the machine."""

    def adjust(
        resources: Sequence[Resource], config: Config, facts: Facts, plugins: Contributions
    ) -> Sequence[Resource]:
        access = first_access(answers, config, facts, paths)
        # An installation renews expired claims, and needs none for an admin whose password it got.
        claims = f"file {paths.claims_dir}/"
        others = [resource for resource in resources if not resource.key.startswith(claims)]
        return [
            *(with_requirements(resource, answers.user_requirements) for resource in others),
            *access,
            *_kept_environment(answers, paths),
            PluginInstallations(paths.post_install, tuple(plugin_names())),
        ]

    return Request(
        command="install",
        configuration=lambda current: configuration_with(answers, current, paths.config_file),
        hub_environment=answers.hub_environment,
        adjust=adjust,
    )


def with_requirements(resource: Resource, requirements: str | None) -> Resource:
    """Return the user environment with requirements given at the installation: a URL or file."""
    if requirements and isinstance(resource, UserEnvironmentPresent):
        return replace(resource, requirements_from=requirements)
    return resource


def first_access(
    answers: Answers, config: Config, facts: Facts, paths: Paths
) -> Sequence[Resource]:
    """Return first passwords and claims of the admins, where the authenticator keeps passwords.

    Raises TljhError for a password that the authenticator cannot keep.
    """
    if not uses_first_use(config):
        if answers.passwords:
            raise TljhError(
                f"a password was given, but auth.type is {config.auth.type}",
                why="only the first-use authenticator takes one at installation",
                fix="leave the password out: --admin NAME",
            )
        admins = config.users.admin if uses_claims(config) else []
        return new_claims(paths, facts, admins, renews=True)
    with_password = facts.of(UserFacts).logins_with_password
    hashes = {
        name: hash_password(password)
        for name, password in answers.passwords.items()
        if name not in with_password
    }
    passwords: list[Resource] = [FirstPasswords(paths.passwords, hashes)] if hashes else []
    others = set(config.users.admin) - set(answers.passwords)
    return [*passwords, *new_claims(paths, facts, others, renews=True)]


def _kept_environment(answers: Answers, paths: Paths) -> Sequence[Resource]:
    """Return the variables that reach package indexes, kept for upgrades and `env` commands."""
    if not answers.environment:
        return []
    data = json.dumps(dict(answers.environment), indent=2, sort_keys=True).encode() + b"\n"
    return [File(paths.kept_environment, data, mode=0o600, secret=True)]


def request_for(
    host: HostReader,
    paths: Paths,
    command: str,
    *,
    files: Mapping[str, bytes] | None = None,
    force: frozenset[str] = frozenset(),
    timeout_s: float = HEALTH_DEADLINE_S,
) -> Request:
    """Return the request of a reload, or of a rollback to a state's `files`.

    `force` names `hub` or `proxy`, which restart even when nothing of theirs changed. Raises
    TljhError where nothing is installed.
    """
    forced = {UNITS[name] for name in force}

    def adjust(
        resources: Sequence[Resource], config: Config, facts: Facts, plugins: Contributions
    ) -> Sequence[Resource]:
        return [
            replace(resource, force_restart=True)
            if isinstance(resource, Unit) and resource.unit in forced
            else resource
            for resource in resources
        ]

    installed_configuration(host, paths)
    restored = (files or {}).get("config.yaml", b"")
    return Request(
        command=command,
        configuration=unchanged if files is None else lambda _: restored,
        files=files,
        adjust=adjust,
        health_deadline_s=timeout_s,
    )
