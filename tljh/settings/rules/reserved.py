"""Sections of classes in config.yaml that set what tljh itself sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from shlex import quote
from typing import TYPE_CHECKING, Any

from tljh.settings.database_address import correct_url
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
                    fix=_suggest_settings(str(values[trait])) if trait == "db_url" else refusal.fix,
                    at_key=True,
                )


def _suggest_settings(url: str) -> str:
    """Return the commands that set what `JupyterHub.db_url` meant."""
    corrected = correct_url(url)
    if corrected is None or corrected.kind == "sqlite":
        return "remove it: the hub's own database is SQLite"
    commands = [
        f"sudo tljh-config set database.type {quote(corrected.kind)}",
        f"sudo tljh-config set database.url {quote(corrected.url)}",
    ]
    if corrected.has_password:
        commands.append("sudo tljh-config set database.password_file FILE")
    return "remove it; " + "; ".join(commands)
