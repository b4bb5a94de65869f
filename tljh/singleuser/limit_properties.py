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

from tljh.base.sizes import format_size

# What `systemctl show` prints for a property that a unit was never given.
NOT_SET = "[not set]"


_SECONDS_OF = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


_SPAN = re.compile(r"([0-9.]+)(us|ms|s|min|h)")


def _format_or_infinity(value: int | None) -> str:
    return "infinity" if value is None else str(value)


def _format_or_zero(value: int | None) -> str:
    return str(value or 0)


def _format_percent(processors: float | None) -> str:
    # systemd accepts 0 % and then never schedules the unit.
    return "" if processors is None else f"{max(1, round(processors * 100))}%"


def parse_percent(span: str) -> str:
    """Convert a processor quota as systemd shows it (1.5s of each second) to a percentage."""
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

    def describe(self, value: str) -> str:
        """Return a written value as the setting has it: 1.5G of memory, 0.5 processors."""
        if value in ("", "infinity"):
            return "none"
        if value.endswith("%"):
            return f"{int(value[:-1]) / 100:g}"
        is_size = self.field.endswith("_bytes") and value.isdigit()
        return format_size(int(value)) if is_size else value

    @property
    def setting(self) -> str:
        """The name of its setting below `limits`."""
        return self.field.removesuffix("_bytes")

    def written(self, limits: object) -> str:
        """Return the property's value for a unit file, from a server's limits."""
        return self.write(getattr(limits, self.field))

    def shown(self, properties: Mapping[str, str]) -> str:
        """Return the property that `systemctl show` printed, in the spelling of a unit file."""
        value = properties.get(self.shown_name or self.name, "")
        return self.unset if value == NOT_SET else self.read(value)


MEMORY_MAX = LimitProperty("memory_bytes", "MemoryMax", _format_or_infinity)


# The disk limit is missing: quotas hold it, not systemd (tljh/singleuser/disk_limits.py).
LIMIT_PROPERTIES = (
    MEMORY_MAX,
    LimitProperty("memory_guarantee_bytes", "MemoryLow", _format_or_zero),
    LimitProperty(
        "cpu", "CPUQuota", _format_percent, parse_percent, shown_name="CPUQuotaPerSecUSec"
    ),
    LimitProperty("cpu_weight", "CPUWeight", str, unset="100"),
    LimitProperty("tasks", "TasksMax", _format_or_infinity),
    LimitProperty("io_weight", "IOWeight", str, unset="100"),
)


SHOWN_NAMES = tuple(limit.shown_name or limit.name for limit in LIMIT_PROPERTIES)


def describe_changes(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Return `memory 4G -> 2G, cpu none -> 1` for the properties in `new`."""
    return ", ".join(
        f"{limit.setting} {limit.describe(old[limit.name])} -> {limit.describe(new[limit.name])}"
        for limit in LIMIT_PROPERTIES
        if limit.name in new
    )


def build_properties(limits: object) -> dict[str, str]:
    """Return all systemd properties for a server's limits; unset ones reset a property."""
    return {limit.name: limit.written(limits) for limit in LIMIT_PROPERTIES}


def read_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """Return the limits that systemd applies to a unit, from the output of `systemctl show`."""
    return {limit.name: limit.shown(properties) for limit in LIMIT_PROPERTIES}
