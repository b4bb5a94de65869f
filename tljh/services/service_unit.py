"""The unit of a service as a resource: a change of it counts once the service answers."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from shlex import quote
from typing import ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Resource, Stage
from tljh.host.interface import Host, HostReader
from tljh.systemd.unit_resource import Unit, UnitChange

# For a service without pages: so long it must run without a crash.
SETTLED_S = 3.0
LOG_LINES = 12


@dataclass(frozen=True)
class ServiceUnit(Unit):
    """The unit of a managed service; it starts when the hub knows the service's token.

    `own` are the files of this service alone. Only a change of these can be rolled back because
    the service fails: a service that was broken before must not block other changes.
    """

    own: tuple[Resource, ...] = ()
    url: str | None = None
    timeout_s: int = 30

    stage: ClassVar[Stage] = Stage.RUNNING

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        has_changed = any(each.key in changed for each in self.restart_on)
        if host.unit(self.unit).active in ("activating", "failed") and not has_changed:
            # systemd tries it again by itself, and `tljh status` reports it.
            return None
        planned = super().planned(host, changed)
        if planned is None or not isinstance(planned[0], UnitChange):
            return planned
        must_answer = any(each.key in changed for each in self.own)
        verbs = planned[0].verbs
        return ServiceChange(self.unit, verbs, self.url, self.timeout_s, must_answer), planned[1]


@dataclass(frozen=True)
class ServiceChange(UnitChange):
    """A start or restart of a service, and the wait for its first answer.

    Without `must_answer`, a failure is a note and no error.
    """

    url: str | None = None
    timeout_s: int = 30
    must_answer: bool = True

    kind: ClassVar[str] = "unit-change-of-service"

    def apply(self, host: Host, progress: Progress) -> None:
        try:
            super().apply(host, progress)
            wait_for_service(host, self.unit, self.url, self.timeout_s)
        except TljhError as error:
            if self.must_answer:
                raise
            progress.note(f"warning: {error.findings[0].what}; see: sudo tljh service list")


def wait_for_service(host: HostReader, unit: str, url: str | None, timeout_s: float) -> None:
    """Return once a service answers; one without pages, once it has run for some seconds.

    Raises TljhError, with the last lines of its log, when it ends or does not answer in time.
    """
    start_s = host.monotonic_s()
    name = unit.removesuffix(".service").removeprefix("tljh-service-")
    while True:
        state = host.unit(unit)
        waited_s = host.monotonic_s() - start_s
        if not state.is_active or state.restarts:
            what = f"the service {name} ended right after its start"
            break
        if url is None:
            if waited_s >= SETTLED_S:
                return
        elif host.http("GET", url, timeout_s=2).status:
            return
        if url is not None and waited_s >= timeout_s:
            what = f"the service {name} does not answer at {url} after {timeout_s:g} s"
            break
        host.pause(0.2)
    raise TljhError(
        what,
        why=host.journal(unit, LOG_LINES) or None,
        fix=f"correct the cause above; to give it longer: "
        f"sudo tljh-config set {quote(f'services.{name}.start_timeout')} 120"
        if state.is_active
        else "correct the cause above, then: sudo tljh-config reload",
    )
