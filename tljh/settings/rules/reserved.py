"""Sections of classes in config.yaml that set what tljh itself sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tljh.settings.declaration import Problem
from tljh.settings.reserved_traits import reserved

if TYPE_CHECKING:
    from tljh.settings.root import Config


def contradictions(config: Config) -> Iterator[Problem]:
    """Yield each reserved trait that a section sets."""
    for section, values in config.traitlets.items():
        for trait in values:
            refusal = reserved(section, trait)
            if refusal is not None:
                yield Problem(
                    (section, trait),
                    f"{section}.{trait} cannot be set here",
                    why=refusal.why,
                    fix=refusal.fix,
                    at_key=True,
                )
