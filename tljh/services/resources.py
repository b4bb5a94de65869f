"""Resources of services: token, account, variables and unit; and the removal of former ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.base.well_known import get_service_unit
from tljh.engine.account_resources import SystemUser
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Directory, File
from tljh.engine.resource import Resource
from tljh.plugins.manager import Contributions
from tljh.services.environment import (
    build_environment,
    format_environment,
    get_data_directory,
    get_prefix,
)
from tljh.services.facts import ServiceFacts
from tljh.services.removed_service import RemovedService
from tljh.services.service_unit import ServiceUnit
from tljh.services.unit_text import format_unit
from tljh.settings.sections.services import get_account

if TYPE_CHECKING:
    from tljh.settings.root import Config


def resources(config: Config, facts: Facts, paths: Paths, plugins: Contributions) -> list[Resource]:
    """Return what all services of config.yaml need, and the removal of those that it lost."""
    result: list[Resource] = list(build_token_files(config, facts, paths))
    managed = config.services.managed
    if managed:
        # Below it, systemd makes a directory for each service.
        result.append(Directory(Paths.services_data, 0o755))
    for name in managed:
        result += _build_service(config, facts, paths, name)
    removed = facts.of(ServiceFacts).removed
    return [
        *result,
        *(RemovedService(name, paths, name in config.services.own) for name in removed),
    ]


def build_token_files(config: Config, facts: Facts, paths: Paths) -> Iterable[File]:
    """Return the files with the tokens of services, which the hub reads at its start."""
    tokens = facts.of(ServiceFacts).tokens
    return [
        File(paths.service_token(name), f"{tokens[name]}\n".encode(), mode=0o600, secret=True)
        for name in config.services.own
    ]


def _build_service(config: Config, facts: Facts, paths: Paths, name: str) -> Iterable[Resource]:
    service, service_facts = config.services.own[name], facts.of(ServiceFacts)
    variables = build_environment(config, paths, name, service_facts.tokens[name])
    environment = File(
        paths.service_environment(name), format_environment(variables), mode=0o600, secret=True
    )
    unit = get_service_unit(name)
    unit_file = File(
        paths.units_dir / unit,
        format_unit(
            config, paths, name, service_facts.programs[name], service_facts.systemd_version
        ),
    )
    if service.user is None:
        yield SystemUser(get_account(name), get_data_directory(name))
    yield environment
    yield unit_file
    yield ServiceUnit(
        unit,
        restart_on=(environment, unit_file, facts.hub_link(paths)),
        notice="its users wait until it answers again",
        own=(environment, unit_file),
        url=f"{service.address}{get_prefix(config, name)}" if service.address else None,
        timeout_s=service.start_timeout,
    )
