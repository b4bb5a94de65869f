"""Systemd units as resources: what runs, and which change restarts or reloads which unit."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Placeholder, Record, Resource, Stage
from tljh.host.interface import Host, HostReader, UnitInfo

# A hub with 100 running servers in its database needs tens of seconds on a slow disk. The units'
# own TimeoutStartSec is shorter, so past this systemd has given up as well.
START_TIMEOUT_S = 120


@dataclass(frozen=True)
class Unit(Placeholder):
    """A unit that runs and starts at boot.

    A change of a resource in `restart_on` or `reload_on` restarts or reloads the unit; restarting
    wins. `notice` says what users see of either. With `is_wanted` false the unit neither runs nor
    starts at boot; the resource that removes its file must come after it.
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
        current = host.unit(self.unit)
        if not self.is_wanted:
            return self._planned_end(host, current)
        verbs: list[str] = []
        reasons: list[str] = []
        if not current.is_enabled:
            verbs.append("enable")
        restarts, reloads = (
            _find_changed(self.restart_on, changed),
            _find_changed(self.reload_on, changed),
        )
        if not current.is_active:
            verbs.append("start")
            reasons.append(f"start: it is {current.active}")
        elif self.force_restart:
            verbs.append("restart")
            reasons.append("restart: asked for")
        elif restarts:
            verbs.append("restart")
            reasons.append(f"restart: {_explain_triggers(restarts)}")
        elif reloads:
            verbs.append("reload")
            reasons.append(f"reload: {_explain_triggers(reloads)}")
        if not verbs:
            return None
        sign = "+" if current.load == "not-found" else "~"
        if self.notice and current.is_active:
            reasons.append(self.notice)
        summary = "; ".join(reasons or ["enable: start at boot"])
        return UnitChange(self.unit, tuple(verbs)), Difference(sign, summary)

    def _planned_end(
        self, host: HostReader, current: UnitInfo
    ) -> tuple[Resource, Difference] | None:
        verbs = []
        if current.is_active:
            verbs.append("stop")
        # A static unit has no links at boot to remove. systemctl would fail to disable it, because
        # its file is removed before it.
        is_enabled = current.is_enabled and current.enabled != "static"
        if is_enabled or (current.load == "not-found" and _find_links(host, self.unit)):
            verbs.append("disable")
        if not verbs:
            return None
        return UnitChange(self.unit, tuple(verbs)), Difference("-", ", ".join(verbs))


@dataclass(frozen=True)
class TriggerUnit(Unit):
    """A timer or path unit: it starts other units, so it is started after all services."""

    stage: ClassVar[Stage] = Stage.RUNNING


def _find_changed(triggers: Sequence[Resource], changed: Set[str]) -> list[Resource]:
    return sorted((each for each in triggers if each.key in changed), key=lambda each: each.key)


def _explain_triggers(triggers: Sequence[Resource]) -> str:
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
        current = host.unit(self.unit)
        return {
            "unit": self.unit,
            "verbs": list(self.verbs),
            "active": current.is_active,
            "enabled": current.is_enabled,
        }

    def apply(self, host: Host, progress: Progress) -> None:
        reload_systemd(host)
        for verb in self.verbs:
            act(host, verb, self.unit)
            if verb == "stop":
                # A timer that was due while the files of its service were gone has failed.
                host.systemctl("reset-failed", self.unit)

    @classmethod
    def difference_of_removal(cls, host: HostReader, record: Record) -> Difference | None:
        current = host.unit(record["unit"])
        verbs = []
        if current.is_active and not record["active"]:
            verbs.append("stop")
        if current.is_enabled and current.enabled != "static" and not record["enabled"]:
            verbs.append("disable")
        return Difference("-", ", ".join(verbs)) if verbs else None

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        # Disabling reads the unit's [Install] section. Reverts run last step first, and the unit
        # comes after its file, so the file still exists here.
        if not record["active"]:
            host.systemctl("stop", record["unit"])
            host.systemctl("reset-failed", record["unit"])
        # A unit that was only reloaded may be of another package, and started by its socket.
        if not record["enabled"] and "enable" in record["verbs"]:
            host.systemctl("disable", record["unit"])

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        reload_systemd(host)
        if record["enabled"] and "disable" in record["verbs"]:
            act(host, "enable", record["unit"])
        if record["active"]:
            # A reload keeps connections, but needs a process that survived the failed change.
            is_active = host.unit(record["unit"]).is_active
            verb = "reload" if "reload" in record["verbs"] and is_active else "restart"
            act(host, verb, record["unit"])


@dataclass(frozen=True)
class ForeignUnit(Placeholder):
    """A unit of another package: restarted when `file` changes, else left as it is."""

    unit: str
    file: Resource

    kind: ClassVar[str] = "foreign-unit"
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

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        if self.file.key not in changed or not host.unit(self.unit).is_active:
            return None
        change = Difference("~", f"restart: {self.file.name} changed")
        return UnitChange(self.unit, ("restart",)), change


@dataclass(frozen=True)
class LiveUnit(Resource):
    """A unit that systemd updates while it runs when its file changes, such as a slice's limits."""

    unit: str
    file: Resource

    kind: ClassVar[str] = "live-unit"
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
        return self, Difference("~", "systemd applies its file while it runs; nothing restarts")

    def before(self, host: HostReader) -> Record:
        return {"unit": self.unit}

    def apply(self, host: Host, progress: Progress) -> None:
        reload_systemd(host)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        # Its file is restored after this, so systemd reads it in `settle`.
        return

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        reload_systemd(host)


def reload_systemd(host: Host) -> None:
    """Have systemd read all unit files again. Raises TljhError when it refuses."""
    done = host.systemctl("daemon-reload")
    if not done.ok:
        raise TljhError("systemd could not reload its units", why=done.err.strip())


def act(host: Host, verb: str, unit: str) -> None:
    """Run `systemctl <verb> <unit>` and wait for the outcome.

    Raises TljhError, with the last lines of the unit's log, when it fails.
    """
    if verb == "disable" and host.unit(unit).load == "not-found":
        # systemctl refuses it from version 254 on, and the links of a unit without a file stay.
        for link in _find_links(host, unit):
            host.remove(link)
        return
    if verb in ("start", "restart"):
        # After five crashes in a row systemd refuses every start until the counter is reset.
        host.systemctl("reset-failed", unit)
    done = host.systemctl(verb, unit, timeout_s=START_TIMEOUT_S)
    if not done.ok:
        raise TljhError(
            f"systemctl {verb} {unit} failed",
            why=host.journal(unit) or done.err.strip(),
            fix=f"correct the cause above; the whole log: sudo journalctl -u {unit} -e",
        )


def _find_links(host: HostReader, unit: str) -> list[Path]:
    """Return the links by which a unit starts at boot."""
    links = [Paths.units_dir / name / unit for name in host.listdir(Paths.units_dir)]
    return [
        link
        for link in links
        if link.parent.suffix in (".wants", ".requires") and host.readlink(link) is not None
    ]
