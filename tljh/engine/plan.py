"""Compute the changes that bring a machine to its desired state, without touching it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tljh.engine.resource import Difference, Resource, RollbackMethod
from tljh.host.interface import HostReader


@dataclass(frozen=True)
class Step:
    """One change of a plan."""

    resource: Resource
    difference: Difference

    @property
    def title(self) -> str:
        return f"{self.resource.key.partition(' ')[0]} {self.resource.name}"


@dataclass(frozen=True)
class ChangedSetting:
    """A setting with another value than the one in effect; `cost` is what applying it takes."""

    key: str
    change: str
    cost: str | None = None

    def as_text(self) -> str:
        return f"{self.key}  {self.change}"


@dataclass(frozen=True)
class Plan:
    """Changes in the order they are made; a rollback runs them backwards.

    `settings` are the edits of config.yaml from which they follow, if there are any.
    """

    steps: tuple[Step, ...]
    notes: tuple[str, ...] = field(default=())
    settings: tuple[ChangedSetting, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def changed(self) -> frozenset[str]:
        """Keys of all resources that change."""
        return frozenset(step.resource.key for step in self.steps)

    def as_text(self) -> str:
        if not self.steps and not self.notes and not self.settings:
            return "nothing to do: the machine is as it should be"
        lines = self._format_settings()
        width = max((len(step.resource.name) for step in self.steps), default=0)
        width = min(width, 60)
        for step in self.steps:
            kind = step.resource.key.partition(" ")[0]
            sign = "!" if step.resource.rollback is RollbackMethod.ONE_WAY else step.difference.sign
            line = f"{sign} {kind:<9} {step.resource.name:<{width}}  {step.difference.summary}"
            lines.append(line.rstrip())
            lines += [f"      {line}" for line in step.difference.diff]
        one_way = [s for s in self.steps if s.resource.rollback is RollbackMethod.ONE_WAY]
        if one_way:
            lines.append("(! is kept when the rest is rolled back)")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines)

    def _format_settings(self) -> list[str]:
        lines = []
        for setting in self.settings:
            lines.append(f"setting {setting.as_text()}")
            if setting.cost:
                lines.append(f"      {setting.cost}")
        return lines

    def as_json(self) -> dict[str, object]:
        return {
            "settings": [
                {"key": setting.key, "change": setting.change, "cost": setting.cost}
                for setting in self.settings
            ],
            "steps": [
                {
                    "kind": step.resource.key.partition(" ")[0],
                    "name": step.resource.name,
                    "sign": step.difference.sign,
                    "summary": step.difference.summary,
                    "diff": list(step.difference.diff),
                    "rollback": step.resource.rollback.value,
                }
                for step in self.steps
            ],
            "notes": list(self.notes),
        }


def plan(desired: Sequence[Resource], host: HostReader) -> Plan:
    """Return the changes that bring the machine to `desired`, in that order.

    Reads the machine, never writes it. Raises ValueError for a trigger that is not in `desired`:
    a unit that depends on it would never restart.
    """
    keys = {resource.key for resource in desired}
    for resource in desired:
        for trigger in resource.triggers:
            if trigger.key not in keys:
                raise ValueError(f"{resource.key}: its trigger {trigger.key} is not planned")
    # A resource sees only what changes before it. So the order of `desired` decides which units
    # restart, and units come after the files that they read.
    changed: set[str] = set()
    steps: list[Step] = []
    for resource in desired:
        planned = resource.planned(host, changed)
        if planned:
            steps.append(Step(*planned))
            changed.add(resource.key)
    return Plan(tuple(steps))
