"""The services of the hub: their state, their logs, a restart, and their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Literal

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.well_known import get_service_unit
from tljh.host.interface import Host, HostReader, UnitInfo
from tljh.host.secret_files import read_token
from tljh.host.systemctl_output import parse_units
from tljh.operations.installed_config import load_configuration, read_installed_configuration
from tljh.operations.unit_logs import read_unit_logs
from tljh.services.environment import get_prefix
from tljh.services.service_unit import wait_for_service
from tljh.settings.keys import find_nearest
from tljh.systemd.unit_resource import act

if TYPE_CHECKING:
    from tljh.settings.root import Config
    from tljh.settings.sections.services import ServiceSettings

State = Literal["answers", "runs", "does not answer", "starts", "failed", "stopped", "not applied"]
_PROPERTIES = "Id,MemoryCurrent,ActiveEnterTimestampMonotonic"
_FAILURES = "Failed with result|Main process exited|Failed at step"


@dataclass(frozen=True)
class ServiceState:
    """A service as it is now; what a service elsewhere cannot be asked for is None."""

    name: str
    is_managed: bool
    state: State
    path: str | None = None
    url: str | None = None
    running_s: int | None = None
    memory_bytes: int | None = None
    restarts: int = 0
    last_failure: str = ""


def read_services(host: HostReader, paths: Paths) -> list[ServiceState]:
    """Return the state of each service in config.yaml. Raises TljhError if no hub is installed."""
    config = _load(host, paths)
    units = _read_units(host, [get_service_unit(name) for name in config.services.managed])
    return [
        _read_service(host, config, name, units.get(get_service_unit(name), {}))
        for name in config.services.own
    ]


def _load(host: HostReader, paths: Paths) -> Config:
    return load_configuration(host, paths, read_installed_configuration(host, paths))


def _read_units(host: HostReader, units: list[str]) -> Mapping[str, Mapping[str, str]]:
    if not units:
        return {}
    answer = host.query(["systemctl", "show", "-p", _PROPERTIES, *units])
    return {each.get("Id", ""): each for each in parse_units(answer.out)}


def _read_service(
    host: HostReader, config: Config, name: str, unit: Mapping[str, str]
) -> ServiceState:
    service = config.services.own[name]
    path = get_prefix(config, name) if service.address else None
    url = f"{service.address}{path}" if path else None
    answers = url is not None and bool(host.http("GET", url, timeout_s=2).status)
    if not service.is_managed:
        state: State = "runs" if url is None else "answers" if answers else "does not answer"
        return ServiceState(name, False, state, path, service.address)
    current = host.unit(get_service_unit(name))
    entered_us = int(unit.get("ActiveEnterTimestampMonotonic") or 0)
    memory = unit.get("MemoryCurrent", "")
    return ServiceState(
        name,
        True,
        _judge(current, service, answers=answers),
        path,
        service.address,
        int(host.monotonic_s() - entered_us / 1e6) if current.is_active and entered_us else None,
        int(memory) if memory.isdigit() and current.is_active else None,
        current.restarts,
        read_last_failure(host, name),
    )


def _judge(unit: UnitInfo, service: ServiceSettings, *, answers: bool) -> State:
    if unit.load == "not-found":
        return "not applied"
    if unit.is_active:
        return "runs" if service.address is None else "answers" if answers else "does not answer"
    if unit.active == "activating":
        return "starts"
    return "failed" if unit.active == "failed" else "stopped"


def read_last_failure(host: HostReader, name: str) -> str:
    """Return time and reason of a service's last failure, as systemd logged it; else empty."""
    argv = ["journalctl", "-u", get_service_unit(name), "--no-pager", "-q", "-o", "short-iso"]
    answer = host.query([*argv, "-n", "1", "-g", _FAILURES])
    line = answer.out.strip().rpartition("\n")[2]
    time, _, rest = line.partition(" ")
    return f"{time[:19].replace('T', ' ')} {rest.partition(': ')[2]}" if line else ""


def read_log(host: HostReader, paths: Paths, name: str, lines: int) -> str:
    """Return the last lines of a service. Raises TljhError for one that runs elsewhere."""
    return read_unit_logs(host, [_find_unit(_load(host, paths), name)], lines)


def restart(host: Host, paths: Paths, name: str) -> ServiceState:
    """Restart a service and wait for its answer. Raises TljhError, with its log, without one."""
    config = _load(host, paths)
    unit = _find_unit(config, name)
    if host.unit(unit).load == "not-found":
        raise TljhError(f"the service {name} is not applied yet", fix="sudo tljh-config reload")
    service = config.services.own[name]
    url = f"{service.address}{get_prefix(config, name)}" if service.address else None
    act(host, "restart", unit)
    wait_for_service(host, unit, url, service.start_timeout)
    return _read_service(host, config, name, _read_units(host, [unit]).get(unit, {}))


def read_service_token(host: HostReader, paths: Paths, name: str) -> str:
    """Return the token of a service. Raises TljhError before it is applied."""
    _find_service(_load(host, paths), name)
    token = read_token(host, paths.service_token(name))
    if token is None:
        raise TljhError(f"the service {name} is not applied yet", fix="sudo tljh-config reload")
    return token


def _find_service(config: Config, name: str) -> ServiceSettings:
    """Return the settings of a service. Raises TljhError, with the nearest name."""
    own = config.services.own
    if name in own:
        return own[name]
    near = find_nearest(name, own)
    raise TljhError(
        f"there is no service {name}",
        fix=f"did you mean {near}?" if near else "list all: sudo tljh service list",
    )


def _find_unit(config: Config, name: str) -> str:
    if not _find_service(config, name).is_managed:
        raise TljhError(
            f"the service {name} does not run in a unit of tljh",
            why=f"services.{name}.command is not set, so it is started and logged elsewhere",
            fix="to run it here: "
            f"sudo tljh-config set {quote(f'services.{name}.command')} '[PROGRAM]'",
        )
    return get_service_unit(name)
