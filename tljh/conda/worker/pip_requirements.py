"""Distributions of pip as requirements that install them again. No rattler is imported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tljh.conda.worker.pip_changes import read_name
from tljh.conda.worker.recorded_files import find_python_version, read_distributions
from tljh.conda.worker.tree_scan import compute_sha256

_PINNED = re.compile(r"^[^=<>!~;@\s\[]+(?:\[[^]]*\])?\s*===?\s*([^\s;,]+)")

_WHEEL_VERSION = re.compile(r"/[^/-]+-([^/-]+)-[^/]+\.whl$")


@dataclass(frozen=True)
class PipRequirement:
    """A requirement without hashes; `location` is the URL where it does not come from an index.

    `lost` is the reason why it cannot be installed again elsewhere.
    """

    name: str
    version: str | None
    text: str
    location: str = ""
    sha256: str = ""
    lost: str = ""

    def is_met_by(self, current: PipRequirement | None, version: str | None) -> bool:
        """Return whether what is installed, in a version, is what is required."""
        if self.version is not None:
            return self.version == version
        return current is not None and bool(self.location) and self.location == current.location


def parse_requirement(line: str) -> PipRequirement:
    """Return a requirement of a file; a version is known if pinned, or in a wheel's name."""
    text = re.sub(r"\s--hash[= ]\S+", "", line).strip()
    pinned = _PINNED.match(text)
    _, _, location = text.partition(" @ ")
    location = location.split(" ;")[0].strip()
    wheel = _WHEEL_VERSION.search(unquote(urlsplit(location).path)) if location else None
    version = pinned[1] if pinned else wheel[1] if wheel else None
    return PipRequirement(read_name(text), version, text, location)


def list_pip_requirements(prefix: Path, names: Iterable[str]) -> list[PipRequirement]:
    """Return the requirement of each of these distributions, as its metadata has it."""
    version = find_python_version(prefix)
    selected = set(names)
    distributions = read_distributions(prefix, version) if version else ()
    return [
        _describe(prefix / distribution.dist_info, distribution.name, distribution.version)
        for distribution in distributions
        if distribution.name in selected
    ]


def select_distribution_versions(prefix: Path) -> dict[str, str]:
    """Return the versions of all distributions, those of conda packages included."""
    version = find_python_version(prefix)
    distributions = read_distributions(prefix, version) if version else ()
    return {distribution.name: distribution.version for distribution in distributions}


def _describe(dist_info: Path, name: str, version: str) -> PipRequirement:
    try:
        direct: Mapping[str, Any] = json.loads((dist_info / "direct_url.json").read_bytes())
    except (OSError, ValueError):
        return PipRequirement(name, version, f"{name}=={version}")
    url = str(direct.get("url", ""))
    if source := direct.get("vcs_info"):
        location = f"{source['vcs']}+{url}@{source['commit_id']}"
        if folder := direct.get("subdirectory"):
            location += f"#subdirectory={folder}"
        return PipRequirement(name, version, f"{name} @ {location}", location)
    if "archive_info" not in direct:
        lost = f"it was installed from the directory {urlsplit(url).path}"
        return PipRequirement(name, version, f"{name}=={version}", lost=lost)
    hashes = direct["archive_info"].get("hashes") or {}
    legacy = str(direct["archive_info"].get("hash", "")).removeprefix("sha256=")
    sha256 = str(hashes.get("sha256") or legacy)
    lost = ""
    if url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
        lost = f"it was installed from the file {path}"
        # uv records no hash of a local file.
        sha256 = sha256 or (compute_sha256(path) if path.is_file() else "")
    return PipRequirement(name, version, f"{name} @ {url}", url, sha256, lost)
