"""The requests of install, reload and rollback: what each changes besides the configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tljh import __version__
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.well_known import HUB_UNIT, PROXY_UNIT
from tljh.conda.resource import UserEnvironmentPresent
from tljh.engine.facts import Facts
from tljh.engine.file_resources import File
from tljh.engine.resource import Resource
from tljh.host.interface import HostReader
from tljh.host.password_store import hash_password
from tljh.operations.converge import HEALTH_DEADLINE_S, Request, keep_unchanged
from tljh.operations.install_answers import InstallAnswers, PluginChanges, add_answers
from tljh.operations.installed_config import read_installed_configuration
from tljh.operations.takeover import describe_takeover, take_over, translate
from tljh.plugins.manager import Contributions, list_plugins
from tljh.plugins.post_install import PluginInstallations
from tljh.settings.derived import uses_claims, uses_first_use
from tljh.settings.migrations import migrate_configuration
from tljh.systemd.unit_resource import Unit
from tljh.takeover.littlest import find_littlest
from tljh.users.facts import UserFacts
from tljh.users.first_passwords import FirstPasswords
from tljh.users.resources import make_claims

if TYPE_CHECKING:
    from tljh.settings.root import Config

UNITS = {"hub": HUB_UNIT, "proxy": PROXY_UNIT}


def make_install_request(host: HostReader, paths: Paths, answers: InstallAnswers) -> Request:
    """Return the request to converge that an installation makes."""
    if answers.database is not None:
        return Request(
            command=f"rollback to tljh {__version__}",
            configuration=lambda _: answers.files.get("config.yaml", b""),
            files=answers.files,
            hub_environment=answers.hub_environment,
            database=answers.database,
        )

    changes = PluginChanges()

    def adjust(
        resources: Sequence[Resource], config: Config, facts: Facts, plugins: Contributions
    ) -> Sequence[Resource]:
        access = give_first_access(answers, config, facts, paths)
        # An installation renews expired claims, and needs none for an admin whose password it got.
        claims = f"file {paths.claims_dir}/"
        others = [resource for resource in resources if not resource.key.startswith(claims)]
        usual = [add_requirements(resource, answers.user_requirements) for resource in others]
        littlest = find_littlest(host, paths)
        return [
            *(take_over(usual, littlest, paths) if littlest else usual),
            *access,
            *_keep_environment(answers, paths),
            PluginInstallations(
                paths.post_install,
                tuple(list_plugins()),
                tuple(config.plugins.required),
                {name: tuple(names) for name, names in changes.sections.items()},
            ),
        ]

    notes: list[str] = []

    def configuration(current: bytes) -> bytes:
        # Read at each plan: the recovery of a killed takeover comes before it.
        littlest = find_littlest(host, paths)
        notes.clear()
        if littlest:
            translation = translate(current, littlest, answers)
            current = translation.text.encode()
            notes.extend(describe_takeover(littlest, translation))
        return add_answers(answers, current, paths.config_file, changes)

    return Request(
        command="install",
        configuration=configuration,
        mistakes=changes.mistakes,
        notes=notes,
        hub_environment=answers.hub_environment,
        adjust=adjust,
    )


def add_requirements(resource: Resource, requirements: str | None) -> Resource:
    """Return the user environment's resource with the requirements file of the installation.

    `requirements` is a URL or path. Other resources are returned unchanged.
    """
    if requirements and isinstance(resource, UserEnvironmentPresent):
        return replace(resource, requirements_from=requirements)
    return resource


def give_first_access(
    answers: InstallAnswers, config: Config, facts: Facts, paths: Paths
) -> Sequence[Resource]:
    """Return resources by which admins get a first password: one that was given, or a claim.

    There are none if the authenticator keeps no passwords. Raises TljhError for a password that it
    cannot keep.
    """
    if not uses_first_use(config):
        if answers.passwords:
            raise TljhError(
                f"a password was given, but auth.type is {config.auth.type}",
                why="only the first-use authenticator takes one at installation",
                fix="leave the password out: --admin NAME",
            )
        if answers.claim_code and not uses_claims(config):
            raise TljhError(
                f"a claim code was given, but auth.type is {config.auth.type}",
                why="this authenticator keeps no passwords on this machine",
                fix="leave the code out: --admin NAME",
            )
        admins = config.users.admin if uses_claims(config) else []
        return make_claims(paths, facts, admins, renews=True, codes=answers.claim_codes)
    with_password = facts.of(UserFacts).logins_with_password
    hashes = {
        name: hash_password(password)
        for name, password in answers.passwords.items()
        if name not in with_password
    }
    passwords: list[Resource] = [FirstPasswords(paths.passwords, hashes)] if hashes else []
    others = set(config.users.admin) - set(answers.passwords) if uses_claims(config) else set()
    claims = make_claims(paths, facts, others, renews=True, codes=answers.claim_codes)
    return [*passwords, *claims]


def _keep_environment(answers: InstallAnswers, paths: Paths) -> Sequence[Resource]:
    """Return the file that stores how the installation reached package indexes.

    Upgrades and the `env` commands use the same variables.
    """
    if not answers.environment:
        return []
    data = json.dumps(dict(answers.environment), indent=2, sort_keys=True).encode() + b"\n"
    return [File(paths.kept_environment, data, mode=0o600, secret=True)]


def make_reload_request(
    host: HostReader,
    paths: Paths,
    command: str,
    *,
    files: Mapping[str, bytes] | None = None,
    force: frozenset[str] = frozenset(),
    timeout_s: float = HEALTH_DEADLINE_S,
) -> Request:
    """Return the request of a reload, or of a rollback to a state's `files`.

    `force` names `hub` or `proxy`, which restart even if nothing of theirs changed. Raises
    TljhError if no hub is installed.
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

    read_installed_configuration(host, paths)
    # A state of the time before an upgrade has the settings' old names.
    restored = migrate_configuration((files or {}).get("config.yaml", b""))
    return Request(
        command=command,
        configuration=keep_unchanged if files is None else lambda _: restored,
        files=files,
        adjust=adjust,
        health_deadline_s=timeout_s,
    )
