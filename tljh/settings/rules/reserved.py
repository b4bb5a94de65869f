"""Sections of classes in config.yaml that set what tljh itself sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tljh.settings.declaration import Problem
from tljh.settings.reserved_traits import find_reserved

if TYPE_CHECKING:
    from tljh.settings.root import Config


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Yield a problem for each trait in a class's section that only tljh may set."""
    for section, values in config.traitlets.items():
        for trait in values:
            refusal = find_reserved(section, trait)
            if refusal is not None:
                yield Problem(
                    (section, trait),
                    f"{section}.{trait} cannot be set here",
                    why=refusal.why,
                    fix=refusal.fix,
                    at_key=True,
                )
