"""The limits of a user's server, from the configuration, the user's groups and the machine's size.

The hub computes them when a server starts, `reload` for every running server. Both get the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.base.sizes import format_size
from tljh.host.machine_memory import read_memory
from tljh.settings.sections.limits import AUTO, LimitsSettings, OwnLimits, parse_memory
from tljh.singleuser.limit_properties import build_properties

if TYPE_CHECKING:
    from tljh.host.interface import HostReader
    from tljh.settings.root import Config

# For the hub, Traefik and a shell over ssh, which together used less than 300 MB when measured. A
# larger machine has more users, and needs more memory for their logins and for cached files.
LEAST_RESERVE_BYTES = 512 << 20


MOST_RESERVE_BYTES = 4 << 30


LEAST_TASKS = 512


MIB = 1 << 20


@dataclass(frozen=True)
class MachineSize:
    """The resources of the machine; `tasks` is the largest number of processes and threads."""

    memory_bytes: int
    processors: int
    tasks: int


@dataclass(frozen=True)
class TotalLimits:
    """The limit of all servers together, which leaves the rest to the hub, Traefik and sshd."""

    memory_bytes: int
    tasks: int


@dataclass(frozen=True)
class ServerLimits:
    """The limits of one server; None means no limit but that of all servers together."""

    memory_bytes: int | None = None
    memory_guarantee_bytes: int | None = None
    cpu: float | None = None
    cpu_weight: int = 100
    tasks: int | None = None
    io_weight: int = 100
    disk_bytes: int | None = None

    def as_properties(self) -> dict[str, str]:
        """Return systemd's properties for the server's unit, also those without a limit."""
        return build_properties(self)

    def as_environment(self) -> dict[str, str]:
        """Return the environment variables by which JupyterLab's extensions show the limits."""
        limits = {
            "MEM_LIMIT": self.memory_bytes,
            "MEM_GUARANTEE": self.memory_guarantee_bytes,
            "CPU_LIMIT": self.cpu,
        }
        return {name: str(value) for name, value in limits.items() if value is not None}

    def with_traits(
        self, memory_bytes: int | None, guarantee_bytes: int | None, cpu: float | None
    ) -> ServerLimits:
        """Return the limits with JupyterHub's own traits in place of ours, where these are set."""
        return replace(
            self,
            memory_bytes=memory_bytes or self.memory_bytes,
            memory_guarantee_bytes=guarantee_bytes or self.memory_guarantee_bytes,
            cpu=cpu or self.cpu,
        )


def read_machine_size(host: HostReader) -> MachineSize:
    """Read the machine's memory, processors, and the kernel's limit of tasks."""
    memory = read_memory(host).get("MemTotal", 2 << 30)
    processors = _read_text(host, "/proc/cpuinfo").count("processor\t") or 1
    task_limits = [
        int(text)
        for name in (
            "/proc/sys/kernel/pid_max",
            "/proc/sys/kernel/threads-max",
            # Those of a container, with cgroup v2 and v1.
            "/sys/fs/cgroup/pids.max",
            "/sys/fs/cgroup/pids/pids.max",
        )
        if (text := _read_text(host, name).strip()).isdigit()
    ]
    return MachineSize(memory, processors, min(task_limits, default=32_768))


def _read_text(host: HostReader, path: str) -> str:
    return (host.read(Path(path)) or b"").decode(errors="replace")


def compute_total_limits(size: MachineSize) -> TotalLimits:
    """Return the limits of all servers together: the machine's size minus the hub's reserve."""
    reserve = min(max(size.memory_bytes // 16, LEAST_RESERVE_BYTES), MOST_RESERVE_BYTES)
    memory = max(size.memory_bytes - reserve, size.memory_bytes // 2)
    return TotalLimits(memory // MIB * MIB, max(size.tasks * 3 // 4, LEAST_TASKS))


def compute_auto_memory(size: MachineSize) -> int:
    """Return the value of `limits.memory: auto`: half of all servers' memory, at least 1 GiB."""
    all_servers = compute_total_limits(size).memory_bytes
    return max(all_servers // 2, min(all_servers, 1 << 30)) // MIB * MIB


def compute_auto_tasks(size: MachineSize) -> int:
    """Return the limit of processes and threads of a server where limits.tasks is null."""
    return min(max(compute_total_limits(size).tasks // 8, LEAST_TASKS), 32_768)


def choose_concurrent_starts(setting: int | None, size: MachineSize) -> int:
    """Return how many servers may start at the same time.

    A starting server uses one processor for most of the time. So more starts at once take longer.
    """
    return setting or 2 * size.processors


def describe_defaults(size: MachineSize) -> dict[str, str]:
    """Describe the defaults that depend on the machine, by the key of the setting."""
    all_servers = compute_total_limits(size)
    computed = compute_defaults(size)
    return {
        "limits.memory": (
            f"auto is {computed['limits.memory']}; all servers together may have "
            f"{format_size(all_servers.memory_bytes)} of {format_size(size.memory_bytes)}"
        ),
        "limits.tasks": f"null is {computed['limits.tasks']}; all servers together may have "
        f"{all_servers.tasks}",
        "limits.concurrent_starts": f"null is {computed['limits.concurrent_starts']}",
    }


def compute_defaults(size: MachineSize) -> dict[str, str]:
    """Return the values of the defaults that depend on the machine, by the key of the setting."""
    return {
        "limits.memory": format_size(compute_auto_memory(size)),
        "limits.tasks": str(compute_auto_tasks(size)),
        "limits.concurrent_starts": str(choose_concurrent_starts(None, size)),
    }


def find_limits(
    settings: LimitsSettings, login: str, groups: Iterable[str], size: MachineSize
) -> ServerLimits:
    """Return a user's limits: the user's own, else the largest of the groups, else the default."""
    users_limits = next(
        (limits for name, limits in settings.users.items() if name.lower() == login.lower()),
        OwnLimits(),
    )
    group_limits = [settings.groups[group] for group in groups if group in settings.groups]
    return ServerLimits(
        **{
            name: _find_limit(name, settings, users_limits, group_limits, size)
            for name in _SETTINGS
        }
    )


# The setting of each field of ServerLimits.
_SETTINGS = {limit.name: limit.name.removesuffix("_bytes") for limit in fields(ServerLimits)}


def _find_limit(
    name: str,
    settings: LimitsSettings,
    users_limits: OwnLimits,
    group_limits: Sequence[OwnLimits],
    size: MachineSize,
) -> Any:
    key = _SETTINGS[name]
    if key in users_limits.model_fields_set:
        return _convert_value(name, getattr(users_limits, key), size)
    values = [
        _convert_value(name, getattr(limits, key), size)
        for limits in group_limits
        if key in limits.model_fields_set
    ]
    if values:
        # None means no limit, which is the largest; but no guarantee, which is the smallest.
        rank_of_none = 0 if key == "memory_guarantee" else float("inf")
        return max(values, key=lambda value: rank_of_none if value is None else value)
    return _convert_value(name, getattr(settings, key), size)


def _convert_value(name: str, value: Any, size: MachineSize) -> Any:
    """Convert the value of a setting to that of a ServerLimits field: bytes, for example."""
    if value == AUTO:
        return compute_auto_memory(size)
    if value is None:
        return {"tasks": compute_auto_tasks(size), "cpu_weight": 100, "io_weight": 100}.get(name)
    return parse_memory(value) if name.endswith("_bytes") else value


def find_groups(login: str, members: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the groups that have this login name as a member."""
    return {
        group
        for group, names in members.items()
        if login.lower() in {name.lower() for name in names}
    }


def format_policy(config: Config) -> bytes:
    """Return the limits and groups of config.yaml as JSON, which the hub reads at each start.

    So a change of limits needs no restart of the hub.
    """
    content = {
        "limits": config.limits.model_dump(mode="json", exclude_unset=True),
        "groups": config.users.extra_user_groups,
        "everybody": config.users.groups,
    }
    return json.dumps(content, indent=2, sort_keys=True).encode() + b"\n"


@dataclass(frozen=True)
class LimitPolicy:
    """The settings, members and machine from which the limits of any user follow."""

    settings: LimitsSettings
    members: Mapping[str, Sequence[str]]
    # The groups that every user is in.
    common_groups: Sequence[str]
    size: MachineSize

    def of(self, login: str, more_groups: Iterable[str] = ()) -> ServerLimits:
        """Return a user's limits; `more_groups` are groups that only the hub's database has."""
        groups = find_groups(login, self.members) | set(self.common_groups) | set(more_groups)
        return find_limits(self.settings, login, sorted(groups), self.size)


def build_limit_policy(config: Config, size: MachineSize) -> LimitPolicy:
    """Return the policy of a configuration."""
    return LimitPolicy(config.limits, config.users.extra_user_groups, config.users.groups, size)


def parse_policy(data: bytes | None, size: MachineSize) -> LimitPolicy:
    """Parse the JSON of `format_policy`; return the default limits if there is no file."""
    content = json.loads(data or b"{}")
    return LimitPolicy(
        LimitsSettings.model_validate(content.get("limits", {})),
        content.get("groups", {}),
        content.get("everybody", ()),
        size,
    )
