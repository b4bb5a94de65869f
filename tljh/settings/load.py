"""The one way from config.yaml to a `Config`, and the check of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, TljhError
from tljh.base.files import read_file
from tljh.settings import header_logins
from tljh.settings.root import Config
from tljh.settings.rules import (
    cookies,
    culler,
    database,
    groups,
    internal_ssl,
    jupyter,
    logins,
    presets,
    proxy,
    reserved,
    services,
    workers,
)

if TYPE_CHECKING:
    from tljh.settings.file_reader import PluginSections
    from tljh.settings.trait_catalogue import Catalogue
    from tljh.settings.validation import ExaminedFile


def examine(
    source: Path | bytes,
    *,
    path: str | None = None,
    catalogue: Catalogue | None = None,
    plugin_sections: PluginSections | None = None,
    model: type[Config] = Config,
) -> ExaminedFile[Config]:
    """Read and check config.yaml; return its settings and every problem.

    A missing file counts as empty. `model` has the sections that plugins declare, too.
    """
    from tljh.settings.validation import validate
    from tljh.settings.yaml_parse import parse

    return validate(
        parse(source if isinstance(source, bytes) else read_file(source)),
        model,
        path=path or (str(source) if isinstance(source, Path) else "config.yaml"),
        contradictions=(
            logins.find_contradictions,
            header_logins.find_contradictions,
            proxy.find_contradictions,
            jupyter.find_contradictions,
            reserved.find_contradictions,
            database.find_contradictions,
            cookies.find_contradictions,
            culler.find_contradictions,
            internal_ssl.find_contradictions,
            groups.find_contradictions,
            services.find_contradictions,
            workers.find_contradictions,
            presets.find_contradictions,
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
    model: type[Config] = Config,
) -> Config:
    """Read and check config.yaml; return its settings. Raises TljhError with every finding."""
    examined = examine(
        source, path=path, catalogue=catalogue, plugin_sections=plugin_sections, model=model
    )
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
    """Read and check config.yaml; return every finding that is not a warning."""
    examined = examine(source, path=path, catalogue=catalogue, plugin_sections=plugin_sections)
    return examined.findings("error", "incomplete")
