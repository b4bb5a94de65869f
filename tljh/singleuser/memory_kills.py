"""Running servers in which the kernel killed processes for lack of memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from tljh.base.account_names import PREFIX
from tljh.base.errors import Finding
from tljh.base.sizes import format_size
from tljh.base.well_known import SLICE
from tljh.host.accounts import parse_login
from tljh.host.interface import HostReader
from tljh.settings.keys import format_key
from tljh.singleuser.limit_properties import MEMORY_MAX
from tljh.singleuser.running_servers import find_running_servers

_SUGGESTED_BYTES = 4 << 30

CGROUPS = Path("/sys/fs/cgroup")


# The files that count it, with cgroup v2 and v1.
_COUNTERS = ("{unit}/memory.events", "memory/{unit}/memory.oom_control")


def count_memory_kills(host: HostReader, unit: str) -> int:
    """Return how many processes of a running unit the kernel killed for memory."""
    for name in _COUNTERS:
        text = host.read(CGROUPS / name.format(unit=f"{SLICE}/{unit}"))
        for line in (text or b"").decode(errors="replace").splitlines():
            word, _, number = line.partition(" ")
            if word == "oom_kill" and number.isdigit():
                return int(number)
    return 0


def check_memory_kills(host: HostReader) -> Iterator[Finding]:
    """Report each running server in which the kernel killed a process for memory."""
    for server in find_running_servers(host):
        count = count_memory_kills(host, server.unit)
        if count:
            limit = server.properties[MEMORY_MAX.name]
            noun = "process" if count == 1 else "processes"
            user = host.user(server.account)
            login = (parse_login(user) if user else None) or server.account.removeprefix(PREFIX)
            key = format_key(("limits", "users", login, "memory"))
            size_bytes = 2 * int(limit) if limit.isdigit() else _SUGGESTED_BYTES
            yield Finding(
                f"the kernel killed {count} {noun} of {server.unit} for lack of memory",
                why=f"its limit is {format_size(int(limit))}"
                if limit.isdigit()
                else "it has no limit",
                fix=f"if the work of {login} needs more: "
                f"sudo tljh-config set {quote(key)} {format_size(size_bytes)}",
            )
