"""What the settings of workers need from each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tljh.settings.declaration import Problem

if TYPE_CHECKING:
    from tljh.settings.root import Config


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Require the address at which workers reach the controller."""
    if config.workers.enabled and not config.workers.address:
        yield Problem(
            ("workers", "address"),
            "workers.enabled needs workers.address",
            why="workers reach the controller at this machine's address in a private network",
            fix="sudo tljh-config set workers.address ADDRESS",
            severity="incomplete",
        )
