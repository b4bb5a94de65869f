"""Facts about services: their tokens, their programs, and what is left of removed ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.base.well_known import SERVICE_UNITS
from tljh.host.interface import HostReader
from tljh.host.secret_files import read_or_make_secret
from tljh.services.programs import find_program
from tljh.settings.sections.services import ACCOUNT_PREFIX
from tljh.systemd.version import read_systemd_version

if TYPE_CHECKING:
    from tljh.settings.root import Config

_UNIT = re.compile(re.escape(SERVICE_UNITS).replace(r"\*", "(.+)"))
_ACCOUNT = re.compile(re.escape(ACCOUNT_PREFIX) + "(.+)")
_TOKEN = re.compile(r"service-(.+)\.(?:secret|env)")


@dataclass(frozen=True)
class ServiceFacts:
    """What a plan needs to know of services.

    `tokens` are by service, new ones in memory until a plan writes them; `programs` are the paths
    of the programs of managed services. `removed` are services of which something is left that
    config.yaml does not have any more.
    """

    tokens: Mapping[str, str] = field(default_factory=dict)
    programs: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    systemd_version: int = 0


def read(host: HostReader, config: Config, paths: Paths) -> ServiceFacts:
    """Read tokens and programs of the services in config.yaml, and the names of removed ones."""
    services = config.services
    units = _match_names(_UNIT, host.listdir(paths.units_dir))
    files = _match_names(_TOKEN, host.listdir(paths.state_dir))
    accounts = _match_names(_ACCOUNT, (user.name for user in host.all_users()))
    removed = (units | accounts) - set(services.managed) | (files - set(services.own))
    return ServiceFacts(
        tokens={
            name: read_or_make_secret(host, paths.service_token(name)) for name in services.own
        },
        programs={
            # A program that is to come with the next hub environment is in that.
            name: str(
                find_program(host, paths, service.command[0])
                or paths.hub_files.bin_dir / service.command[0]
            )
            for name, service in services.managed.items()
        },
        removed=tuple(sorted(removed)),
        systemd_version=read_systemd_version(host) if services.managed else 0,
    )


def _match_names(pattern: re.Pattern[str], names: Iterable[str]) -> set[str]:
    return {match[1] for name in names if (match := pattern.fullmatch(name))}
