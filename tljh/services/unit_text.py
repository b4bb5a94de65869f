"""The systemd unit of a service: its command, its limits and its sandbox."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.services.environment import get_data_directory
from tljh.settings.derived import uses_internal_ssl
from tljh.settings.sections.limits import parse_memory
from tljh.settings.sections.services import get_account
from tljh.systemd.templates import render_unit

if TYPE_CHECKING:
    from tljh.settings.root import Config

TEMPLATE = "tljh-service.service"
# Older releases warn of the keys at each start.
FIRST_WITH_RESTART_STEPS = 254


def format_unit(
    config: Config, paths: Paths, name: str, program: str, systemd_version: int
) -> bytes:
    """Return the text of the unit of a service; `program` is the path of its program."""
    service = config.services.own[name]
    data = get_data_directory(name)
    return render_unit(
        TEMPLATE,
        service=name,
        command=quote_words((program, *service.command[1:])),
        account=service.user or get_account(name),
        directory=quote_words((service.directory or str(data),)),
        state_directory=f"{data.parent.name}/{name}",
        environment_file=paths.service_environment(name),
        own_environment_file=service.environment_file,
        writable=quote_words(service.writable),
        memory_bytes=parse_memory(service.memory) if service.memory else None,
        cpu_percent=max(1, round(service.cpu * 100)) if service.cpu else None,
        tasks=service.tasks,
        hub=paths.hub,
        prefix=paths.prefix,
        has_internal_ssl=uses_internal_ssl(config),
        has_restart_steps=systemd_version >= FIRST_WITH_RESTART_STEPS,
    )


def quote_words(words: Iterable[str]) -> str:
    """Return words as systemd reads them: in double quotes, with `%` and `$` as they are."""
    escaped = (word.replace("\\", "\\\\").replace('"', '\\"') for word in words)
    return " ".join(f'"{word}"'.replace("%", "%%").replace("$", "$$") for word in escaped)
