"""Check of services: each one runs and answers."""

from __future__ import annotations

from collections.abc import Iterator

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.base.well_known import get_service_unit
from tljh.plugins.checks import Check, CheckedMachine, Result
from tljh.services.environment import get_prefix
from tljh.services.service_unit import LOG_LINES

# So many automatic restarts since the last start mean that it fails repeatedly.
MANY_RESTARTS = 3


def _check(subject: CheckedMachine) -> Iterator[Result]:
    config, host = subject.config, subject.host
    for name, service in config.services.own.items() if config is not None else ():
        assert config is not None
        unit = host.unit(get_service_unit(name))
        logs = f"sudo tljh service logs {name}"
        fails = not unit.is_active or unit.restarts >= MANY_RESTARTS
        if service.is_managed and fails:
            times = f", after {unit.restarts} restarts" if unit.restarts else ""
            yield (
                Severity.DEGRADED,
                Finding(
                    f"the service {name} {_describe(unit.active)}{times}",
                    why=host.journal(unit.name, LOG_LINES) or None,
                    fix=f"{logs}; then: sudo tljh service restart {name}",
                ),
            )
        elif service.address:
            url = f"{service.address}{get_prefix(config, name)}"
            if not host.http("GET", url, timeout_s=3).status:
                fix = logs if service.is_managed else f"start it at {service.address}"
                finding = Finding(f"the service {name} does not answer at {url}", fix=fix)
                yield Severity.DEGRADED, finding


def _describe(active: str) -> str:
    words = {"active": "fails repeatedly", "activating": "fails and is started again"}
    return words.get(active, f"is {active}")


CHECKS = (Check("services", _check),)
