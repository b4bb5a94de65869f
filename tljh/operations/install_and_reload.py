"""Install and reload."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.engine.file_resources import File
from tljh.engine.resource import Resource
from tljh.host.interface import HostReader
from tljh.host.password_store import hash_password
from tljh.hub.health import DEADLINE_S
from tljh.operations.converge import Extra, Request, as_it_stands
from tljh.operations.facts import Facts
from tljh.operations.install_answers import Answers, configuration_with
from tljh.operations.installed_config import configuration_bytes
from tljh.plugins.manager import Contributions, plugin_names
from tljh.plugins.post_install import PluginInstallations
from tljh.settings.derived import uses_claims, uses_first_use
from tljh.users.first_passwords import FirstPasswords, new_claims

if TYPE_CHECKING:
    from tljh.settings.root import Config


def request_of(answers: Answers, paths: Paths) -> Request:
    """The change that an installation makes, from its answers and the configuration there is."""

    def afterwards(config: Config, facts: Facts, plugins: Contributions) -> Sequence[Resource]:
        return [PluginInstallations(paths.state_dir / "post-install", tuple(plugin_names()))]

    def environments(config: Config, facts: Facts, plugins: Contributions) -> Sequence[Resource]:
        return [
            *_conda_environments(config, plugins, paths, answers.user_requirements),
            *_people(answers, config, facts, paths),
            *_kept_environment(answers, paths),
        ]

    return Request(
        command="install",
        configuration=lambda old: configuration_with(answers, old, paths.config_file),
        hub_environment=answers.hub_environment,
        environments=environments,
        afterwards=afterwards,
    )


def standing_environments(paths: Paths) -> Extra:
    """The conda environments and first claims, as every later command keeps them."""

    def resources(config: Config, facts: Facts, plugins: Contributions) -> Sequence[Resource]:
        claims = new_claims(paths, facts, config.users.admin) if uses_claims(config) else []
        return [*_conda_environments(config, plugins, paths), *claims]

    return resources


def _conda_environments(
    config: Config, plugins: Contributions, paths: Paths, requirements: str | None = None
) -> Sequence[Resource]:
    from tljh.conda.resource import user_environment_resources

    return user_environment_resources(config, plugins, paths, requirements=requirements)


def _people(answers: Answers, config: Config, facts: Facts, paths: Paths) -> Sequence[Resource]:
    """First passwords and claims, where the authenticator keeps passwords by first use."""
    if not uses_first_use(config):
        if answers.passwords:
            raise TljhError(
                f"a password was given, but auth.type is {config.auth.type}",
                why="only the first-use authenticator takes one at installation",
                fix="leave the password out: --admin NAME",
            )
        known = config.users.admin if uses_claims(config) else []
        return new_claims(paths, facts, known, renews=True)
    dbm = paths.state_dir / "passwords.dbm"
    hashes = {
        name: hash_password(password)
        for name, password in answers.passwords.items()
        if name not in facts.logins_with_password
    }
    given: list[Resource] = [FirstPasswords(dbm, hashes)] if hashes else []
    others = set(config.users.admin) - set(answers.passwords)
    return [*given, *new_claims(paths, facts, others, renews=True)]


def _kept_environment(answers: Answers, paths: Paths) -> Sequence[Resource]:
    """What was needed to reach package indexes, kept for upgrades and for `env` commands."""
    if not answers.environment:
        return []
    data = json.dumps(dict(answers.environment), indent=2, sort_keys=True).encode() + b"\n"
    return [File(paths.state_dir / "environment.json", data, mode=0o600, secret=True)]


def request_for(
    host: HostReader,
    paths: Paths,
    command: str,
    *,
    files: Mapping[str, bytes] | None = None,
    force: frozenset[str] = frozenset(),
    timeout_s: float = DEADLINE_S,
) -> Request:
    from tljh.operations.install_and_reload import standing_environments

    configuration_bytes(host, paths)
    brought_back = (files or {}).get("config.yaml", b"")
    return Request(
        command=command,
        configuration=as_it_stands if files is None else lambda _: brought_back,
        files=files,
        environments=standing_environments(paths),
        force=force,
        health_deadline_s=timeout_s,
    )
