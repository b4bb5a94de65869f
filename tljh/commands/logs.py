"""`tljh logs`: the last lines that the hub, the proxy or one user's server logged."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Any

from tljh.commands.parameters import Argument, Option
from tljh.host.real import RealHost
from tljh.operations.unit_logs import (
    list_units,
    list_units_of_user,
    read_server_log,
    read_unit_logs,
)


@dataclass(frozen=True)
class LogLines:
    """Lines of one or more units, oldest first."""

    units: tuple[str, ...]
    text: str

    def as_json(self) -> dict[str, Any]:
        return {"units": list(self.units), "lines": self.text.splitlines()}

    def as_text(self) -> str:
        if self.text:
            return self.text
        hint = "" if os.geteuid() == 0 else " that you may read; try it with sudo"
        return f"there are no lines of {', '.join(self.units)}{hint}"


def logs(
    part: Annotated[str, Argument("PART", "hub or proxy; without it, both.")] = "",
    *,
    user: Annotated[str, Option("--user", "Print the log of this user's server.", "NAME")] = "",
    lines: Annotated[int, Option("--lines", "Number of lines, from the end.")] = 100,
) -> LogLines:
    """Print the last lines that the hub and the proxy, or a user's server, logged."""
    host = RealHost()
    if user:
        return LogLines(list_units_of_user(host, user), read_server_log(host, user, lines))
    units = list_units(part)
    return LogLines(units, read_unit_logs(host, units, lines))
