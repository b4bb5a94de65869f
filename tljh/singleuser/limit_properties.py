"""Limits of a server as properties of its unit: one table for writing them and reading them back.

What is written goes into the transient unit of a server and into `systemctl set-property`; what is
read comes from `systemctl show`. Both forms must be equal for equal limits: a reload compares them
and changes a running server where they differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# What `systemctl show` prints for a property that a unit was never given.
NOT_SET = "[not set]"


_SECONDS_OF = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


_SPAN = re.compile(r"([0-9.]+)(us|ms|s|min|h)")


def _or_infinity(value: int | None) -> str:
    return "infinity" if value is None else str(value)


def _or_zero(value: int | None) -> str:
    return str(value or 0)


def _percent(processors: float | None) -> str:
    # systemd accepts 0 % and then never schedules the unit.
    return "" if processors is None else f"{max(1, round(processors * 100))}%"


def percent_of(span: str) -> str:
    """Return a quota that systemd shows as a span (1.5s of each second) as a percentage (150%)."""
    if span in ("infinity", ""):
        return ""
    seconds = sum(float(number) * _SECONDS_OF[unit] for number, unit in _SPAN.findall(span))
    return f"{round(seconds * 100)}%"


@dataclass(frozen=True)
class LimitProperty:
    """A limit: the field of `ServerLimits` that has it, and its property in both directions."""

    field: str
    name: str
    write: Callable[[Any], str]
    read: Callable[[str], str] = str
    # systemd shows some properties under a name other than the one that sets them.
    shown_name: str = ""
    # What holds in a unit that was never given the property.
    unset: str = ""

    def written(self, limits: object) -> str:
        """Return the value to write for some `ServerLimits`."""
        return self.write(getattr(limits, self.field))

    def shown(self, properties: Mapping[str, str]) -> str:
        """Return what `systemctl show` printed, in the form in which it is written."""
        value = properties.get(self.shown_name or self.name, "")
        return self.unset if value == NOT_SET else self.read(value)


MEMORY_MAX = LimitProperty("memory_bytes", "MemoryMax", _or_infinity)


# The disk limit is missing: quotas hold it, not systemd (tljh/singleuser/disk_limits.py).
LIMIT_PROPERTIES = (
    MEMORY_MAX,
    LimitProperty("memory_guarantee_bytes", "MemoryLow", _or_zero),
    LimitProperty("cpu", "CPUQuota", _percent, percent_of, shown_name="CPUQuotaPerSecUSec"),
    LimitProperty("cpu_weight", "CPUWeight", str, unset="100"),
    LimitProperty("tasks", "TasksMax", _or_infinity),
    LimitProperty("io_weight", "IOWeight", str, unset="100"),
)


SHOWN_NAMES = tuple(limit.shown_name or limit.name for limit in LIMIT_PROPERTIES)


def properties_to_set(limits: object) -> dict[str, str]:
    """Return every property for some `ServerLimits`, so that a removed limit is reset."""
    return {limit.name: limit.written(limits) for limit in LIMIT_PROPERTIES}


def properties_in_effect(properties: Mapping[str, str]) -> dict[str, str]:
    """Return every property of a unit from what `systemctl show` printed of it."""
    return {limit.name: limit.shown(properties) for limit in LIMIT_PROPERTIES}
