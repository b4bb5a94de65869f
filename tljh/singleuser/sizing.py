"""How large a machine has to be for its users, and for how many one of a size is large enough.

The memory that is kept for the hub is that of `limits.py`, which `limits.memory: auto` uses, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from tljh.base.sizes import format_size
from tljh.singleuser.limits import MachineSize, compute_total_limits

GIB = 1 << 30
# Of providers' machines; the next one up is the one to rent.
MEMORY_STEPS_GIB = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
PROCESSOR_STEPS = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128)
# The system, the hub, the user environment with the usual packages, and its snapshots.
SYSTEM_DISK_BYTES = 15 * GIB
# A disk that is fuller is slow, and has no room for an upgrade.
FULLEST_SHARE = 0.8


@dataclass(frozen=True)
class Workload:
    """What one user who works takes: memory, processors, and disk also while away."""

    name: str
    memory_bytes: int
    processors: float
    disk_bytes: int


# Light: text and small tables. Normal: pandas and plots. Heavy: large data, trained models.
LIGHT = Workload("light", GIB // 2, 0.1, GIB)
NORMAL = Workload("normal", GIB, 0.25, 5 * GIB)
HEAVY = Workload("heavy", 4 * GIB, 1.0, 20 * GIB)


@dataclass(frozen=True)
class Need:
    """What a machine needs, the next usual size, and the sums in words."""

    memory_bytes: int
    processors: int
    disk_bytes: int
    formula: tuple[str, ...]


def compute_need(users: int, at_once: int, workload: Workload) -> Need:
    """Return what a machine needs for `users`, of whom `at_once` work at the same time."""
    servers_bytes = at_once * workload.memory_bytes
    memory = find_memory(servers_bytes)
    processors = _step_up(max(1, ceil(at_once * workload.processors)), PROCESSOR_STEPS)
    disk = ceil((SYSTEM_DISK_BYTES + users * workload.disk_bytes) / FULLEST_SHARE / GIB) * GIB
    reserve = memory - compute_total_limits(MachineSize(memory, 1, 1)).memory_bytes
    return Need(
        memory,
        processors,
        disk,
        (
            f"memory: {at_once} at once x {format_size(workload.memory_bytes)} = "
            f"{format_size(servers_bytes)}, and {format_size(reserve)} for the hub: "
            f"{format_size(memory)}",
            f"processors: {at_once} at once x {workload.processors:g}: {processors}",
            f"disk: {users} x {format_size(workload.disk_bytes)} and "
            f"{format_size(SYSTEM_DISK_BYTES)} for the system, a fifth of it free: "
            f"{format_size(disk)}",
        ),
    )


def find_memory(servers_bytes: int) -> int:
    """Return the smallest usual memory that leaves so much for all servers together."""
    for gib in MEMORY_STEPS_GIB:
        if compute_total_limits(MachineSize(gib * GIB, 1, 1)).memory_bytes >= servers_bytes:
            return gib * GIB
    return ceil(servers_bytes / GIB / 128 + 1) * 128 * GIB


def count_servers_that_fit(size: MachineSize, workload: Workload) -> int:
    """Return how many servers of this workload work at once on a machine of this size."""
    by_memory = compute_total_limits(size).memory_bytes // workload.memory_bytes
    return max(0, min(by_memory, int(size.processors / workload.processors)))


def _step_up(number: int, steps: tuple[int, ...]) -> int:
    return next((step for step in steps if step >= number), number)
