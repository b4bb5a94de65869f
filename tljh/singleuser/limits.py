"""From the configuration, somebody's groups and the machine to what their server may take.

Pure. The hub asks at every start, `reload` for every server that runs, and both get the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.settings.sections.limits import AUTO, LimitsSettings, OwnLimits, memory_bytes
from tljh.singleuser.limit_properties import properties_to_set

if TYPE_CHECKING:
    from tljh.host.interface import HostReader
    from tljh.settings.root import Config

# The hub, Traefik and a shell over ssh, measured together below 300 MB, with room to work; a
# larger machine has more people, whose logins and files in the cache take more.
LEAST_RESERVE_BYTES = 512 << 20


MOST_RESERVE_BYTES = 4 << 30


LEAST_TASKS = 512


MIB = 1 << 20


@dataclass(frozen=True)
class MachineSize:
    """What there is to share out. `tasks` is how many processes and threads can be."""

    memory_bytes: int
    processors: int
    tasks: int


@dataclass(frozen=True)
class Caps:
    """What all servers together may take, so that the hub, Traefik and sshd keep their share."""

    memory_bytes: int
    tasks: int


@dataclass(frozen=True)
class ServerLimits:
    """What one server may take; None stands for no limit of its own."""

    memory_bytes: int | None = None
    memory_guarantee_bytes: int | None = None
    cpu: float | None = None
    cpu_weight: int = 100
    tasks: int | None = None
    io_weight: int = 100
    disk_bytes: int | None = None

    def as_properties(self) -> dict[str, str]:
        """Return the properties of the server's unit, each of them even where there is no limit."""
        return properties_to_set(self)

    def as_environment(self) -> dict[str, str]:
        """What the server tells its user: JupyterHub's names, which extensions look at."""
        given = {
            "MEM_LIMIT": self.memory_bytes,
            "MEM_GUARANTEE": self.memory_guarantee_bytes,
            "CPU_LIMIT": self.cpu,
        }
        return {name: str(value) for name, value in given.items() if value is not None}

    def with_traits(
        self, memory_bytes: int | None, guarantee_bytes: int | None, cpu: float | None
    ) -> ServerLimits:
        """The same where JupyterHub's own traits say nothing else."""
        return replace(
            self,
            memory_bytes=memory_bytes or self.memory_bytes,
            memory_guarantee_bytes=guarantee_bytes or self.memory_guarantee_bytes,
            cpu=cpu or self.cpu,
        )


def machine_size(host: HostReader) -> MachineSize:
    """Read memory, processors and the kernel's bounds of tasks."""
    memory = 2 << 30
    for line in _text(host, "/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            memory = int(line.split()[1]) * 1024
    processors = _text(host, "/proc/cpuinfo").count("processor\t") or 1
    bounds = [
        int(text)
        for name in (
            "/proc/sys/kernel/pid_max",
            "/proc/sys/kernel/threads-max",
            # A container's own.
            "/sys/fs/cgroup/pids.max",
            "/sys/fs/cgroup/pids/pids.max",
        )
        if (text := _text(host, name).strip()).isdigit()
    ]
    return MachineSize(memory, processors, min(bounds, default=32_768))


def _text(host: HostReader, path: str) -> str:
    return (host.read(Path(path)) or b"").decode(errors="replace")


def caps(size: MachineSize) -> Caps:
    """What all servers together may take of a machine."""
    reserve = min(max(size.memory_bytes // 16, LEAST_RESERVE_BYTES), MOST_RESERVE_BYTES)
    memory = max(size.memory_bytes - reserve, size.memory_bytes // 2)
    return Caps(memory // MIB * MIB, max(size.tasks * 3 // 4, LEAST_TASKS))


def auto_memory_bytes(size: MachineSize) -> int:
    """What `limits.memory: auto` stands for."""
    everybodys = caps(size).memory_bytes
    return max(everybodys // 2, min(everybodys, 1 << 30)) // MIB * MIB


def auto_tasks(size: MachineSize) -> int:
    """What no `limits.tasks` stands for."""
    return min(max(caps(size).tasks // 8, LEAST_TASKS), 32_768)


def concurrent_starts(wanted: int | None, size: MachineSize) -> int:
    """How many servers start at a time: each is busy with one processor nearly all its start."""
    return wanted or 2 * size.processors


def describe_defaults(size: MachineSize) -> dict[str, str]:
    """What the defaults that depend on the machine come to, by the key of the setting."""
    everybodys = caps(size)
    return {
        "limits.memory": f"auto is {_gib(auto_memory_bytes(size))}; all servers together may have "
        f"{_gib(everybodys.memory_bytes)} of {_gib(size.memory_bytes)}",
        "limits.tasks": f"null is {auto_tasks(size)}; all servers together may have "
        f"{everybodys.tasks}",
        "limits.concurrent_starts": f"null is {concurrent_starts(None, size)}",
    }


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 30):.1f}G"


def limits_of(
    settings: LimitsSettings, login: str, groups: Iterable[str], size: MachineSize
) -> ServerLimits:
    """The limits of somebody's server: their own, else their groups' largest, else everybody's."""
    own = next(
        (one for name, one in settings.users.items() if name.lower() == login.lower()), OwnLimits()
    )
    theirs = [settings.groups[group] for group in groups if group in settings.groups]
    return ServerLimits(**{name: _one(name, settings, own, theirs, size) for name in _SOURCES})


# Fields of ServerLimits and the settings that they come from.
_SOURCES = {one.name: one.name.removesuffix("_bytes") for one in fields(ServerLimits)}


def _one(
    name: str,
    settings: LimitsSettings,
    own: OwnLimits,
    groups: Sequence[OwnLimits],
    size: MachineSize,
) -> Any:
    key = _SOURCES[name]
    if key in own.model_fields_set:
        return _value(name, getattr(own, key), size)
    found = [_value(name, getattr(one, key), size) for one in groups if key in one.model_fields_set]
    if found:
        # No limit is the largest; of a guarantee none is the smallest.
        none = 0 if key == "memory_guarantee" else float("inf")
        return max(found, key=lambda value: none if value is None else value)
    return _value(name, getattr(settings, key), size)


def _value(name: str, value: Any, size: MachineSize) -> Any:
    if value == AUTO:
        return auto_memory_bytes(size)
    if value is None:
        return {"tasks": auto_tasks(size), "cpu_weight": 100, "io_weight": 100}.get(name)
    return memory_bytes(value) if name.endswith("_bytes") else value


def groups_of(login: str, members: Mapping[str, Iterable[str]]) -> set[str]:
    """The groups that the configuration puts somebody in."""
    return {
        group
        for group, names in members.items()
        if login.lower() in {name.lower() for name in names}
    }


def policy_as_json(config: Config) -> bytes:
    """What the hub reads: limits, and who is in which group."""
    content = {
        "limits": config.limits.model_dump(mode="json", exclude_unset=True),
        "groups": config.users.extra_user_groups,
        "everybody": config.users.groups,
    }
    return json.dumps(content, indent=2, sort_keys=True).encode() + b"\n"


@dataclass(frozen=True)
class LimitPolicy:
    """The applied limits, to ask for somebody's."""

    settings: LimitsSettings
    members: Mapping[str, Sequence[str]]
    everybody: Sequence[str]
    size: MachineSize

    def of(self, login: str, more_groups: Iterable[str] = ()) -> ServerLimits:
        """`more_groups` are those that the hub itself knows somebody to be in."""
        groups = groups_of(login, self.members) | set(self.everybody) | set(more_groups)
        return limits_of(self.settings, login, sorted(groups), self.size)


def limit_policy(config: Config, size: MachineSize) -> LimitPolicy:
    """The limits of a configuration."""
    return LimitPolicy(config.limits, config.users.extra_user_groups, config.users.groups, size)


def parse_policy(data: bytes | None, size: MachineSize) -> LimitPolicy:
    """Read back what `as_json` wrote; without a file there are the defaults."""
    content = json.loads(data or b"{}")
    return LimitPolicy(
        LimitsSettings.model_validate(content.get("limits", {})),
        content.get("groups", {}),
        content.get("everybody", ()),
        size,
    )
