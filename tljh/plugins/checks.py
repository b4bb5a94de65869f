"""Checks of `tljh status` and `tljh doctor`, as parts declare them in their `checks.py`.

A check reads the machine and yields what is wrong, each with a fix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.engine.facts import Facts
from tljh.host.interface import HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class CheckedMachine:
    """What a check looks at: the applied state, and whether there are edits since.

    `config` and `facts` are None where the applied configuration is invalid. `invalid` are the
    mistakes in the current config.yaml, `unapplied` the paths that were edited since the last
    apply.
    """

    host: HostReader
    paths: Paths
    config: Config | None
    facts: Facts | None
    invalid: tuple[Finding, ...] = ()
    unapplied: tuple[str, ...] = ()

    @property
    def is_installed(self) -> bool:
        return self.host.readlink(self.paths.hub) is not None


Result = tuple[Severity, Finding]
Look = Callable[[CheckedMachine], Iterator[Result]]


@dataclass(frozen=True)
class Check:
    """A named look at the machine. `status` runs the quick ones, `doctor` all of them.

    With `quick_look`, `status` runs that in the place of `look`.
    """

    name: str
    look: Look
    is_quick: bool = True
    quick_look: Look | None = None
