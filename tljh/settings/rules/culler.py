"""Settings of the idle culler that do more than their name says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tljh.settings.declaration import Problem

if TYPE_CHECKING:
    from tljh.settings.root import Config


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Warn of a culler that removes users."""
    if config.services.cull.enabled and config.services.cull.users:
        yield Problem(
            ("services", "cull", "users"),
            "services.cull.users removes every user who is idle, not only temporary ones",
            why="their groups, tokens and sessions go with them; accounts and homes stay",
            fix="to remove users who left, with a list before it: sudo tljh user prune "
            "--inactive 2y --dry-run",
            severity="warning",
        )
