"""Check that limits of servers are not larger than the machine."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from shlex import quote

from tljh.base.sizes import format_size
from tljh.host.interface import HostReader
from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.keys import format_key
from tljh.settings.root import Config
from tljh.settings.sections.limits import AUTO, LimitsSettings, OwnLimits, parse_memory


def find_oversized_limits(config: Config, host: HostReader) -> Iterator[Problem]:
    """Yield a warning for each limit that is larger than the memory or processors here.

    No server ever reaches such a limit. It is a warning because the machine may be resized later.
    """
    sections = list(_list_sections(config.limits))
    amounts = {
        amount
        for _, section in sections
        for amount in (section.memory, section.memory_guarantee, section.cpu)
    }
    if amounts <= {None, AUTO}:
        return
    # Imported here: it takes long, and most edits do not need it.
    from tljh.singleuser.limits import read_machine_size

    size = read_machine_size(host)
    for path, section in sections:
        for name in ("memory", "memory_guarantee"):
            value = getattr(section, name)
            if value in (None, AUTO) or parse_memory(value) <= size.memory_bytes:
                continue
            key = format_key((*path, name))
            yield Problem(
                (*path, name),
                f"{key} is {value}, and this machine has {format_size(size.memory_bytes)}",
                why="the limit has no effect: the memory of all servers together ends before",
                fix=f"sudo tljh-config set {quote(key)} {format_size(size.memory_bytes // 2)}",
                severity="warning",
            )
        if section.cpu is not None and section.cpu > size.processors:
            key = format_key((*path, "cpu"))
            yield Problem(
                (*path, "cpu"),
                f"{key} is {section.cpu:g}, and this machine has {size.processors}",
                why="the limit has no effect",
                fix=f"sudo tljh-config set {quote(key)} {size.processors}",
                severity="warning",
            )


def _list_sections(
    limits: LimitsSettings,
) -> Iterator[tuple[KeyPath, LimitsSettings | OwnLimits]]:
    yield ("limits",), limits
    groups = ((("limits", "groups", name), section) for name, section in limits.groups.items())
    users = ((("limits", "users", name), section) for name, section in limits.users.items())
    yield from chain(groups, users)
