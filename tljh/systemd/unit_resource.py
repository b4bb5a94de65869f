"""Units as resources: what runs, and what restarts because of what changed."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource, Stage, Wish
from tljh.host.interface import Host, HostReader, UnitInfo

# A hub that starts 100 users' servers' worth of database on a slow disk needs tens of seconds;
# past this the unit's own TimeoutStartSec has fired.
START_TIMEOUT_S = 120


@dataclass(frozen=True)
class Unit(Wish):
    """A unit that runs and starts at boot.

    A change of a resource in `restart_on` or `reload_on` restarts or reloads the unit; restarting
    wins. `notice` says what users see of either. With `is_wanted` false the unit neither runs nor
    starts at boot; its file is removed after it.
    """

    unit: str
    restart_on: tuple[Resource, ...] = ()
    reload_on: tuple[Resource, ...] = ()
    notice: str = ""
    force_restart: bool = False
    is_wanted: bool = True

    kind: ClassVar[str] = "unit"
    stage: ClassVar[Stage] = Stage.SERVICES

    @property
    def name(self) -> str:
        return self.unit

    @property
    def triggers(self) -> Sequence[Resource]:
        return (*self.restart_on, *self.reload_on)

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        now = host.unit(self.unit)
        if not self.is_wanted:
            return self._planned_end(now)
        verbs: list[str] = []
        reasons: list[str] = []
        if not now.is_enabled:
            verbs.append("enable")
        restarts, reloads = _changed(self.restart_on, changed), _changed(self.reload_on, changed)
        if not now.is_active:
            verbs.append("start")
            reasons.append(f"start: it is {now.active}")
        elif self.force_restart:
            verbs.append("restart")
            reasons.append("restart: asked for")
        elif restarts:
            verbs.append("restart")
            reasons.append(f"restart: {_because(restarts)}")
        elif reloads:
            verbs.append("reload")
            reasons.append(f"reload: {_because(reloads)}")
        if not verbs:
            return None
        sign = "+" if now.load == "not-found" else "~"
        if self.notice and now.is_active:
            reasons.append(self.notice)
        summary = "; ".join(reasons or ["enable: start at boot"])
        return UnitChange(self.unit, tuple(verbs)), Difference(sign, summary)

    def _planned_end(self, now: UnitInfo) -> tuple[Resource, Difference] | None:
        verbs = [*(["stop"] if now.is_active else []), *(["disable"] if now.is_enabled else [])]
        if not verbs:
            return None
        return UnitChange(self.unit, tuple(verbs)), Difference("-", ", ".join(verbs))


@dataclass(frozen=True)
class StartingUnit(Unit):
    """A timer or path: it starts another unit, so it starts once the services run."""

    stage: ClassVar[Stage] = Stage.RUNNING


def _changed(triggers: Sequence[Resource], changed: Set[str]) -> list[Resource]:
    return sorted((each for each in triggers if each.key in changed), key=lambda each: each.key)


def _because(triggers: Sequence[Resource]) -> str:
    names = [trigger.name for trigger in triggers]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return f"{', '.join(names[:2])}{more} changed"


@dataclass(frozen=True)
class UnitChange(Resource):
    """What a plan does to one unit, in order: enable, start, restart, reload, stop, disable."""

    unit: str
    verbs: tuple[str, ...]

    kind: ClassVar[str] = "unit-change"

    @property
    def name(self) -> str:
        return self.unit

    @property
    def key(self) -> str:
        return f"unit {self.unit}"

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~", ", ".join(self.verbs))

    def before(self, host: HostReader) -> Record:
        now = host.unit(self.unit)
        return {
            "unit": self.unit,
            "verbs": list(self.verbs),
            "active": now.is_active,
            "enabled": now.is_enabled,
        }

    def apply(self, host: Host, progress: Progress) -> None:
        daemon_reload(host)
        for verb in self.verbs:
            act(host, verb, self.unit)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        # Before the unit's file goes: disabling reads its [Install] section.
        if not record["active"]:
            host.systemctl("stop", record["unit"])
            host.systemctl("reset-failed", record["unit"])
        if not record["enabled"]:
            host.systemctl("disable", record["unit"])

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        daemon_reload(host)
        if record["enabled"] and "disable" in record["verbs"]:
            act(host, "enable", record["unit"])
        if record["active"]:
            runs = host.unit(record["unit"]).is_active
            verb = "reload" if "reload" in record["verbs"] and runs else "restart"
            act(host, verb, record["unit"])


@dataclass(frozen=True)
class Reread(Resource):
    """A unit that takes over a change of its file while it runs, such as the caps of a slice."""

    unit: str
    file: Resource

    kind: ClassVar[str] = "reread"
    stage: ClassVar[Stage] = Stage.SERVICES

    @property
    def name(self) -> str:
        return self.unit

    @property
    def key(self) -> str:
        return f"unit {self.unit}"

    @property
    def triggers(self) -> Sequence[Resource]:
        return (self.file,)

    def difference(self, host: HostReader) -> Difference | None:
        return None

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        if self.file.key not in changed or not host.unit(self.unit).is_active:
            return None
        return self, Difference("~", "takes over its file while it runs; nothing restarts")

    def before(self, host: HostReader) -> Record:
        return {"unit": self.unit}

    def apply(self, host: Host, progress: Progress) -> None:
        daemon_reload(host)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        """Nothing yet: its file is put back after this."""

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        daemon_reload(host)


def daemon_reload(host: Host) -> None:
    done = host.systemctl("daemon-reload")
    if not done.ok:
        raise TljhError("systemd could not reload its units", why=done.err.strip())


def act(host: Host, verb: str, unit: str) -> None:
    """Carry out one verb on a unit and wait for its outcome.

    Raises TljhError with the unit's last journal lines.
    """
    if verb in ("start", "restart"):
        # After five crashes in a row systemd refuses every start until this is said.
        host.systemctl("reset-failed", unit)
    done = host.systemctl(verb, unit, timeout_s=START_TIMEOUT_S)
    if not done.ok:
        raise TljhError(
            f"systemctl {verb} {unit} failed",
            why=host.journal(unit) or done.err.strip(),
            fix=f"look at the lines above; all of them: sudo journalctl -u {unit} -e",
        )
