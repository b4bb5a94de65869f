"""How a setting is declared: its default, its help, and what applying a change of it costs.

A setting is declared once, as a field of a `Section`. Validation, the value types of the command
line, completion, `describe`, the reference page and the JSON Schema are read off it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tljh.base.errors import Finding, Place

# The steps to a place in the configuration: names, and positions in lists from 0.
KeyPath = tuple[str | int, ...]


class Cost(str, Enum):
    """What applying a changed setting takes; none of them stops a user's server."""

    NOTHING = "nothing"
    LIVE = "nothing, running servers included"
    PROXY_RELOAD = "proxy reload"
    HUB_RESTART = "hub restart"
    NEXT_SPAWN = "next spawn"
    REBUILD = "hub environment rebuild"
    ENVIRONMENT = "user environment change"


class Section(BaseModel):
    """A closed group of settings; an unknown key in it is an error."""

    # Validators are built at the first validation: `show` needs none.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


def setting(
    default: Any = ...,
    *,
    help: str,
    cost: Cost,
    secret: bool = False,
    example: str | None = None,
    **bounds: Any,
) -> Any:
    """Declare a field of a section as a setting, as pydantic's `Field` does.

    `help` is one sentence; `example` is a value as typed after `tljh-config set KEY`.
    """
    extra: dict[str, Any] = {"cost": cost.value}
    if secret:
        extra["secret"] = True
    if example is not None:
        extra["examples"] = [example]
    if isinstance(default, (list, dict)):
        copy_of = type(default)
        return Field(
            default_factory=lambda: copy_of(default),
            description=help,
            json_schema_extra=extra,
            **bounds,
        )
    return Field(default=default, description=help, json_schema_extra=extra, **bounds)


def section(model: type[Section], *, help: str) -> Any:
    """Declare a field of a section as a nested section."""
    # `model()` would build a validator for each section; the one of the whole file contains them
    # all. Defaults need no validation: a test checks each one.
    return Field(default_factory=model.model_construct, description=help)


@dataclass(frozen=True)
class Problem:
    """A wrong value at `path`, or a value there that deserves a warning.

    `incomplete`: the next edit can complete it, such as a certificate whose key is not named
    yet. A single `set` accepts it; `check` and `reload` refuse it.
    `warning`: printed, and stops nothing.
    `at_key`: the place to show is that of the name, not of the value.
    `fix_resets`: the fix gives up the value. It is not offered to an admin whose edit was refused,
    because the file still holds the value before the edit, which may be right.
    """

    path: KeyPath
    what: str
    fix: str | None = None
    why: str | None = None
    severity: Literal["error", "incomplete", "warning"] = "error"
    at_key: bool = False
    fix_resets: bool = False

    def as_finding(self, where: Place | None = None) -> Finding:
        return Finding(self.what, where, self.why, self.fix)
