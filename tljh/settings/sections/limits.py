"""Settings of limits: for all servers, for a group's, for one user's."""

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


SMALLEST_SNAPSHOTS = 100 << 20


def _check_amount(value: Any, noun: str, smallest: int, why: str) -> Any:
    """Return an amount in one spelling: 4GB, 4 GiB and 4g become 4G; a number is bytes.

    Raises ValueError below `smallest`, with `why` after the amount in the message.
    """
    if value is None or (isinstance(value, str) and value.lower() in ("none", "null")):
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return value
    text = str(value).strip()
    match = _AMOUNT.match(text.upper())
    if not match:
        raise ValueError(f"must be an amount of {noun} like 512M or 4G, not {text!r}")
    number, unit = match.groups()
    size = float(number) * _UNITS[unit]
    if size < smallest:
        raise ValueError(f"must be at least {smallest >> 20}M ({why}), not {text!r}")
    if size > 1 << 60:
        raise ValueError(f"is more {noun} than any machine has: {text!r}")
    if unit:
        return f"{number}{unit}"
    # The spawner refuses text without a unit, so bytes are rounded up to whole kibibytes.
    kibibytes = -(-int(size) // 1024)
    for larger in "KMGT":
        if kibibytes % 1024 or larger == "T":
            return f"{kibibytes}{larger}"
        kibibytes //= 1024
    return f"{kibibytes}K"


def _check_memory(value: Any) -> Any:
    return _check_amount(value, "memory", SMALLEST_MEMORY, "a server does not start with less")


def _check_memory_or_auto(value: Any) -> Any:
    if isinstance(value, str) and value.strip().lower() == AUTO:
        return AUTO
    return _check_memory(value)


def _check_disk(value: Any) -> Any:
    return _check_amount(value, "disk space", SMALLEST_DISK, "a new home needs that")


def _check_snapshot_space(value: Any) -> Any:
    return _check_amount(value, "disk space", SMALLEST_SNAPSHOTS, "a snapshot needs that")


def parse_memory(value: str) -> int:
    """Return the bytes of an amount in the spelling of the schema, such as 512M."""
    match = _AMOUNT.match(value)
    assert match is not None, value
    return int(float(match.group(1)) * _UNITS[match.group(2)])


def _check_cpu(value: Any) -> Any:
    if isinstance(value, str) and value.lower() in ("none", "null"):
        return None
    return value


def _refuse_duplicates(value: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, str] = {}
    for name in value:
        if name.lower() in seen:
            raise ValueError(f"names one user twice: {seen[name.lower()]} and {name}")
        seen[name.lower()] = name
    return value


Memory = Annotated[str | None, BeforeValidator(_check_memory)]


MemoryOrAuto = Annotated[str | None, BeforeValidator(_check_memory_or_auto)]


Disk = Annotated[str | None, BeforeValidator(_check_disk)]


DiskAmount = Annotated[str, BeforeValidator(_check_snapshot_space)]


Cpu = Annotated[float | None, BeforeValidator(_check_cpu)]


# systemd's own bounds of a weight.
_WEIGHT: dict[str, Any] = {"ge": 1, "le": 10_000}


_TASKS: dict[str, Any] = {"ge": 32, "le": 4_194_304}


class OwnLimits(Section):
    """Limits of a group or a user; the general limits apply to what is not set here."""

    memory: Memory = setting(None, help="Largest amount of memory.", cost=Cost.LIVE)
    memory_guarantee: Memory = setting(
        None, help="Memory that other servers cannot use.", cost=Cost.LIVE
    )
    # systemd accepts CPUQuota=0% and then never schedules the unit.
    cpu: Cpu = setting(
        None, help="Largest number of processor cores.", cost=Cost.LIVE, ge=0.01, le=4096
    )
    cpu_weight: int | None = setting(
        None, help="Share of the processors while they are busy.", cost=Cost.LIVE, **_WEIGHT
    )
    tasks: int | None = setting(
        None, help="Largest number of processes and threads.", cost=Cost.LIVE, **_TASKS
    )
    io_weight: int | None = setting(
        None, help="Share of the disks while they are busy.", cost=Cost.LIVE, **_WEIGHT
    )
    disk: Disk = setting(None, help="Largest amount of disk space.", cost=Cost.LIVE)


class LimitsSettings(Section):
    """What each user's server may use of the machine."""

    memory: MemoryOrAuto = setting(
        AUTO,
        help="Largest amount of memory of one user's server, like 512M or 2G; null for the limit "
        "of all servers together; auto for half of that limit, but at least 1G.",
        cost=Cost.LIVE,
        example="2G",
    )
    memory_guarantee: Memory = setting(
        None,
        help="Memory that a server keeps when memory runs out on the machine; needs cgroup v2.",
        cost=Cost.LIVE,
        example="512M",
    )
    cpu: Cpu = setting(
        None,
        help="Largest number of processor cores of one user's server, like 0.5; null for no limit.",
        cost=Cost.LIVE,
        example="1.5",
        ge=0.01,
        le=4096,
    )
    cpu_weight: int = setting(
        100,
        help="Share of the processors while they are busy: a server with 200 gets twice as much "
        "as one with 100.",
        cost=Cost.LIVE,
        example="50",
        **_WEIGHT,
    )
    tasks: int | None = setting(
        None,
        help="Largest number of processes and threads of one user's server; null for an eighth of "
        "the limit of all servers together, but at least 512.",
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
        help="Largest amount of disk space of one user on the file system of the homes; null for "
        "no limit. Needs a file system with quotas.",
        cost=Cost.LIVE,
        example="10G",
    )
    groups: dict[GroupName, OwnLimits] = setting(
        {},
        help="Limits for members of groups, by the names above; of several, the largest applies.",
        cost=Cost.LIVE,
        example="{staff: {memory: 8G, cpu: 4}}",
    )
    users: Annotated[dict[UserName, OwnLimits], AfterValidator(_refuse_duplicates)] = setting(
        {},
        help="Limits for single users, by the names above; they override those of groups.",
        cost=Cost.LIVE,
        example="{alice: {memory: 8G}}",
    )
    named_servers: int = setting(
        0,
        help="Number of servers with a name that a user may have next to the default one, each "
        "with the limits above; 0 for none.",
        cost=Cost.HUB_RESTART,
        example="2",
        ge=0,
        le=100,
    )
    concurrent_starts: int | None = setting(
        None,
        help="How many servers start at the same time, while the others wait in a queue; null for "
        "two per processor.",
        cost=Cost.HUB_RESTART,
        example="8",
        ge=1,
        le=1000,
    )
