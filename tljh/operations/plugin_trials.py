"""Which plugins a planned hub loads: not those that fail, unless they are required."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from shlex import quote
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.engine.facts import Facts
from tljh.host.interface import HostReader
from tljh.hub.facts import DROP_INS
from tljh.plugins.manager import Contributions, compute_code_digest
from tljh.plugins.selection import parse_names, parse_selection

if TYPE_CHECKING:
    from tljh.settings.root import Config


def select_plugins(
    host: HostReader,
    paths: Paths,
    config: Config,
    facts: Facts,
    plugins: Contributions,
    failed: Mapping[str, Finding],
) -> Contributions:
    """Return the contributions with the plugins that the hub leaves out.

    These are the plugins that could not be asked, those that `failed` in a trial of this change,
    and those that failed when the same files were applied. Raises TljhError for a required one.
    """
    left_out = {failure.plugin: failure.finding for failure in plugins.failures}
    tried = dict(failed)
    applied = parse_selection(host.read(paths.applied.plugins))
    inputs = ""
    if failed or applied.inputs:
        inputs = _compute_inputs(host, facts)
        if applied.inputs == inputs:
            tried = {**applied.left_out, **failed}
    left_out |= tried
    required = parse_names(host.read(paths.login_plugins)).union(config.plugins.required)
    _refuse_required(required, left_out)
    return replace(plugins, left_out=left_out, inputs=inputs if tried else "")


def _refuse_required(required: Iterable[str], left_out: Mapping[str, Finding]) -> None:
    why = "the plugin is required: plugins.required names it, or it chose the way to log in"
    findings = [
        replace(left_out[name], why=left_out[name].why or why)
        for name in sorted(required)
        if name in left_out
    ]
    if findings:
        raise TljhError(findings)


def find_missing_required(config: Config, plugins: Contributions) -> list[Finding]:
    """Return an error for each required plugin that is not installed."""
    installed = {*plugins.plugins, *(failure.plugin for failure in plugins.failures)}
    return [
        Finding(
            f"plugins.required names {name}, which is not installed",
            why=f"the installed plugins are {', '.join(sorted(installed)) or 'none'}",
            fix=f"sudo tljh-config remove-item plugins.required {quote(name)}; "
            "or add its package: sudo tljh plugin add PACKAGE",
        )
        for name in config.plugins.required
        if name not in installed
    ]


def _compute_inputs(host: HostReader, facts: Facts) -> str:
    """Return a digest of all that a trial of the plugins depends on."""
    digest = hashlib.sha256(str(facts.hub_environment).encode())
    digest.update(facts.config_bytes)
    for name, data in sorted(facts.files_in(DROP_INS).items()):
        digest.update(name.encode() + data)
    digest.update(compute_code_digest(host, facts.hub_environment).encode())
    return digest.hexdigest()
