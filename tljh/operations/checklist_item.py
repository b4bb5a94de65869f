"""What an item of the checklist is: a name, a reason, and a measurement on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tljh.base.paths import Paths
from tljh.host.interface import HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config

State = Literal["done", "missing", "unknown", "waived"]


@dataclass(frozen=True)
class Item:
    """One line of the checklist: what was seen, why it matters, and the way to have it."""

    name: str
    title: str
    state: State
    seen: str
    why: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Measured:
    """The result of one measurement; `is_done` is None where nothing could be measured."""

    is_done: bool | None
    seen: str
    fix: str = ""


@dataclass(frozen=True)
class Subject:
    """What an item is measured on."""

    host: HostReader
    paths: Paths
    config: Config


@dataclass(frozen=True)
class Declaration:
    """An item: its name in `checklist.waived`, and its measurement."""

    name: str
    title: str
    why: str
    measure: Callable[[Subject], Measured]
