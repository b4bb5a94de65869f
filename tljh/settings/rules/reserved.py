"""Sections of classes in config.yaml that set what tljh itself sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.hub_options import find_refused

if TYPE_CHECKING:
    from tljh.settings.root import Config


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Yield a problem for each trait in a class's section that config.yaml must not set."""
    yield from _find_refused_traits((), config.traitlets)
    yield from _find_refused_traits(("auth",), config.auth.classes)


def _find_refused_traits(
    prefix: KeyPath, sections: Mapping[str, Mapping[str, Any]]
) -> Iterator[Problem]:
    for section, values in sections.items():
        for trait in values:
            refusal = find_refused(section, trait)
            if refusal is not None:
                yield Problem(
                    (*prefix, section, trait),
                    f"{section}.{trait} cannot be set here",
                    why=refusal.why,
                    fix=refusal.fix,
                    at_key=True,
                )
