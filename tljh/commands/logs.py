"""`tljh logs`: what the hub, the proxy or one user's server wrote to the journal."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Any

from tljh.base.account_names import account_name, unit_name
from tljh.base.errors import Exit, TljhError
from tljh.commands.parameters import Argument, Option
from tljh.host.real import RealHost

PARTS = {"hub": "jupyterhub.service", "proxy": "traefik.service"}


@dataclass(frozen=True)
class Logs:
    """Lines of one or more units, oldest first."""

    units: tuple[str, ...]
    text: str

    def as_json(self) -> dict[str, Any]:
        return {"units": list(self.units), "lines": self.text.splitlines()}

    def as_text(self) -> str:
        if self.text:
            return self.text
        hint = "" if os.geteuid() == 0 else ", as far as you may read it: try it with sudo"
        return f"nothing in the journal of {', '.join(self.units)}{hint}"


def logs(
    part: Annotated[str, Argument("PART", "hub or proxy; without it, both.")] = "",
    *,
    user: Annotated[str, Option("--user", "This person's server instead.", metavar="NAME")] = "",
    lines: Annotated[int, Option("--lines", "How many, counted from the end.")] = 100,
) -> Logs:
    """Show what the hub and the proxy wrote last, or a person's server."""
    host = RealHost()
    units = _units(part, user)
    argv = ["journalctl", "--no-pager", "-q", "-o", "short-iso", "-n", str(lines)]
    for unit in units:
        argv += ["-u", unit]
    text = host.query(argv).out.rstrip()
    # Who is gone may have left lines.
    if user and not text and host.user(account_name(user)) is None:
        raise TljhError(
            f"there is no log of {user}",
            why=f"no server ran under that name, and there is no account {account_name(user)}",
            fix="who there is: sudo tljh user list",
        )
    return Logs(units, text)


def _units(part: str, user: str) -> tuple[str, ...]:
    if user:
        try:
            return (unit_name(account_name(user)),)
        except ValueError as error:
            raise TljhError(str(error), exit_code=Exit.USAGE) from error
    if not part:
        return tuple(PARTS.values())
    if part not in PARTS:
        raise TljhError(
            f"there is no log called {part}",
            why=f"there are {', '.join(PARTS)}",
            fix="tljh logs hub, or for a user's server: tljh logs --user NAME",
            exit_code=Exit.USAGE,
        )
    return (PARTS[part],)
