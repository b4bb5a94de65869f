"""The settings of what servers may take: of everybody's, of a group's, of one person's."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from tljh.settings.declaration import Cost, Section, setting
from tljh.settings.sections.access import GroupName, UserName

_AMOUNT = re.compile(r"^([0-9]+(?:\.[0-9]+)?) ?([KMGT]?)(?:I?B)?$")


_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


AUTO = "auto"


SMALLEST_MEMORY = 32 << 20


SMALLEST_DISK = 1 << 20


def _amount(value: Any, noun: str, smallest: int, why: str) -> Any:
    """Bring the common spellings to one: 4GB, 4 GiB, 4g -> 4G; a number is bytes."""
    if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return value
    text = str(value).strip()
    found = _AMOUNT.match(text.upper())
    if not found:
        raise ValueError(f"must be an amount of {noun} like 512M or 4G, not {text!r}")
    number, unit = found.groups()
    size = float(number) * _UNITS[unit]
    if size < smallest:
        raise ValueError(f"must be at least {smallest >> 20}M, {why}, not {text!r}")
    if size > 1 << 60:
        raise ValueError(f"is more {noun} than any machine has: {text!r}")
    if unit:
        return f"{number}{unit}"
    # The spawner refuses text without a unit; less than a kibibyte more is no harm.
    kibibytes = -(-int(size) // 1024)
    for larger in "KMGT":
        if kibibytes % 1024 or larger == "T":
            return f"{kibibytes}{larger}"
        kibibytes //= 1024
    return f"{kibibytes}K"


def _memory(value: Any) -> Any:
    return _amount(value, "memory", SMALLEST_MEMORY, "below which no server starts")


def _memory_or_auto(value: Any) -> Any:
    if isinstance(value, str) and value.strip().lower() == AUTO:
        return AUTO
    return _memory(value)


def _disk(value: Any) -> Any:
    return _amount(value, "disk space", SMALLEST_DISK, "which a home needs to begin with")


def memory_bytes(value: str) -> int:
    """How many bytes a normalised amount is."""
    found = _AMOUNT.match(value)
    assert found is not None, value
    return int(float(found.group(1)) * _UNITS[found.group(2)])


def _cpu(value: Any) -> Any:
    if isinstance(value, str) and value.lower() in ("none", "null"):
        return None
    return value


def _no_name_twice(value: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, str] = {}
    for name in value:
        if name.lower() in seen:
            raise ValueError(f"names somebody twice: {seen[name.lower()]} and {name}")
        seen[name.lower()] = name
    return value


Memory = Annotated[str | None, BeforeValidator(_memory)]


MemoryOrAuto = Annotated[str | None, BeforeValidator(_memory_or_auto)]


Disk = Annotated[str | None, BeforeValidator(_disk)]


Cpu = Annotated[float | None, BeforeValidator(_cpu)]


# systemd's own bounds of a weight.
_WEIGHT: dict[str, Any] = {"ge": 1, "le": 10_000}


_TASKS: dict[str, Any] = {"ge": 32, "le": 4_194_304}


class OwnLimits(Section):
    """Limits of a group or a person; what is not set here is as for everybody."""

    memory: Memory = setting(None, help="Most memory.", cost=Cost.LIVE)
    memory_guarantee: Memory = setting(
        None, help="Memory that others' servers cannot take away.", cost=Cost.LIVE
    )
    # systemd accepts CPUQuota=0% and then never schedules the unit.
    cpu: Cpu = setting(None, help="Most processor cores.", cost=Cost.LIVE, ge=0.01, le=4096)
    cpu_weight: int | None = setting(
        None, help="Share of busy processors.", cost=Cost.LIVE, **_WEIGHT
    )
    tasks: int | None = setting(None, help="Most processes and threads.", cost=Cost.LIVE, **_TASKS)
    io_weight: int | None = setting(None, help="Share of busy disks.", cost=Cost.LIVE, **_WEIGHT)
    disk: Disk = setting(None, help="Most disk space.", cost=Cost.LIVE)


class LimitsSettings(Section):
    """Limits of users' servers."""

    memory: MemoryOrAuto = setting(
        AUTO,
        help="Most memory of a user's server, like 512M or 2G; null for no limit but the cap of "
        "all servers; auto for half of that cap, and at least 1G of it.",
        cost=Cost.LIVE,
        example="2G",
    )
    memory_guarantee: Memory = setting(
        None,
        help="Memory of a server that other servers cannot take when all memory is in use; needs "
        "cgroup v2.",
        cost=Cost.LIVE,
        example="512M",
    )
    cpu: Cpu = setting(
        None,
        help="Most processor cores of a user's server, like 0.5 or 2; null for no limit.",
        cost=Cost.LIVE,
        example="1.5",
        ge=0.01,
        le=4096,
    )
    cpu_weight: int = setting(
        100,
        help="Share of the processors while all are busy: a server with 200 gets twice as much "
        "as one with 100.",
        cost=Cost.LIVE,
        example="50",
        **_WEIGHT,
    )
    tasks: int | None = setting(
        None,
        help="Most processes and threads of a user's server; null for an eighth of the cap of "
        "all servers, and at least 512.",
        cost=Cost.LIVE,
        example="1000",
        **_TASKS,
    )
    io_weight: int = setting(
        100,
        help="Share of the disks while they are busy, like cpu_weight; needs cgroup v2.",
        cost=Cost.LIVE,
        example="50",
        **_WEIGHT,
    )
    disk: Disk = setting(
        None,
        help="Most disk space of a user on the file system of the home directories; null for no "
        "limit. Needs a file system with quotas.",
        cost=Cost.LIVE,
        example="10G",
    )
    groups: dict[GroupName, OwnLimits] = setting(
        {},
        help="Limits of groups' members, by the names above; a user in several groups has the "
        "largest.",
        cost=Cost.LIVE,
        example="{staff: {memory: 8G, cpu: 4}}",
    )
    users: Annotated[dict[UserName, OwnLimits], AfterValidator(_no_name_twice)] = setting(
        {},
        help="Limits of single users, by the names above; they win over those of groups.",
        cost=Cost.LIVE,
        example="{alice: {memory: 8G}}",
    )
    concurrent_starts: int | None = setting(
        None,
        help="How many servers start at the same time while the others wait in the queue; null "
        "for two for each processor.",
        cost=Cost.HUB_RESTART,
        example="8",
        ge=1,
        le=1000,
    )
