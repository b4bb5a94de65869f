"""The one way from config.yaml to a `Config`, and the check of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, TljhError
from tljh.base.files import read_file
from tljh.settings import header_logins
from tljh.settings.root import Config
from tljh.settings.rules import logins, proxy, reserved

if TYPE_CHECKING:
    from tljh.settings.file_reader import PluginSections
    from tljh.settings.trait_catalogue import Catalogue
    from tljh.settings.validation import Examined


def examine(
    source: Path | bytes,
    *,
    path: str | None = None,
    catalogue: Catalogue | None = None,
    plugin_sections: PluginSections | None = None,
) -> Examined[Config]:
    """Read a configuration and find every problem in it; a missing file counts as empty."""
    from tljh.settings.validation import validate
    from tljh.settings.yaml_parse import parse

    return validate(
        parse(source if isinstance(source, bytes) else read_file(source)),
        Config,
        path=path or (str(source) if isinstance(source, Path) else "config.yaml"),
        contradictions=(
            logins.contradictions,
            header_logins.contradictions,
            proxy.contradictions,
            reserved.contradictions,
        ),
        catalogue=catalogue,
        plugin_sections=plugin_sections,
    )


def load(
    source: Path | bytes,
    *,
    path: str | None = None,
    catalogue: Catalogue | None = None,
    plugin_sections: PluginSections | None = None,
) -> Config:
    """Read a configuration. Raises TljhError with every finding when anything is wrong."""
    examined = examine(source, path=path, catalogue=catalogue, plugin_sections=plugin_sections)
    findings = examined.findings("error", "incomplete")
    if findings:
        raise TljhError(findings)
    return examined.config


def check(
    source: Path | bytes,
    *,
    path: str | None = None,
    catalogue: Catalogue | None = None,
    plugin_sections: PluginSections | None = None,
) -> list[Finding]:
    """Return every finding about a configuration."""
    examined = examine(source, path=path, catalogue=catalogue, plugin_sections=plugin_sections)
    return examined.findings("error", "incomplete")
