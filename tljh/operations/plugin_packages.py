"""Packages of plugins that cannot be installed: named with their line in config.yaml."""

from __future__ import annotations

import json
import re
from pathlib import Path
from shlex import quote

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.settings.yaml_parse import parse

PACKAGES = (("plugins", "packages"), ("hub", "packages"))


def find_left_out_packages(
    host: HostReader, paths: Paths, environment: Path, config_bytes: bytes
) -> list[Finding]:
    """Return a finding for each package of config.yaml that an environment lacks."""
    data = host.read(HubEnvironmentFiles(environment).left_out)
    try:
        reasons: dict[str, str] = json.loads(data or b"{}")
        return [
            _describe(spec, reason, _find_place(spec, config_bytes, paths))
            for spec, reason in reasons.items()
        ]
    except (ValueError, AttributeError):
        return []


def name_failed_packages(error: TljhError, config_bytes: bytes, paths: Paths) -> TljhError:
    """Return the error of a build with the line of the package in config.yaml, where it has one."""
    findings = []
    for finding in error.findings:
        specs = finding.what.rpartition(": ")[2].split(", ")
        # The one that the installer names, or the only one.
        named = [spec for spec in specs if _get_name(spec) in (finding.why or "")] or specs
        place = _find_place(named[0], config_bytes, paths)
        is_one = place is not None and finding.where is None and len(named) == 1
        findings.append(_describe(named[0], finding.why, place) if is_one else finding)
    return TljhError(findings, exit_code=error.exit_code)


def _get_name(spec: str) -> str:
    name = spec.rstrip("/").rpartition("/")[2] if "/" in spec else spec
    return re.split(r"[\s\[<>=!~;@]", name)[0]


def _describe(spec: str, why: str | None, place: Place | None) -> Finding:
    return Finding(
        f"{spec} cannot be installed into the hub environment",
        place,
        why,
        f"correct or update the package, or remove it: sudo tljh plugin remove {quote(spec)}",
    )


def _find_place(spec: str, config_bytes: bytes, paths: Paths) -> Place | None:
    root = parse(config_bytes).root
    for path in PACKAGES if root is not None else ():
        _, node, depth = root.find(path) if root else (None, None, 0)
        if node is None or depth < len(path):
            continue
        for item in node.items:
            if item.raw == spec:
                return Place(str(paths.config_file), item.start.line, item.start.column)
    return None
