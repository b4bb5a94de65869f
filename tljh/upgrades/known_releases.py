"""What the last look at the index of releases saw, kept for `tljh status`.

`status` itself asks nobody: it must be quick, and it must not fail with the network.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tljh.base.paths import Paths
from tljh.host.interface import Host, HostReader
from tljh.upgrades.release_index import ListedRelease


@dataclass(frozen=True)
class KnownReleases:
    """The releases of the last look, or why it failed."""

    releases: tuple[ListedRelease, ...] = ()
    problem: str = ""


def write_known_releases(host: Host, paths: Paths, last_look: KnownReleases) -> None:
    """Keep what a look at the index saw."""
    if host.info(paths.releases) is None:
        host.mkdir(paths.releases, mode=0o700)
    releases = [asdict(each) for each in last_look.releases]
    value = {"releases": releases, "problem": last_look.problem}
    host.write(paths.known_releases, json.dumps(value).encode() + b"\n", mode=0o600)


def read_known_releases(host: HostReader, paths: Paths) -> KnownReleases:
    """Return what the last look saw; nothing if there was none."""
    try:
        value = json.loads(host.read(paths.known_releases) or b"{}")
        listed: Sequence[dict[str, object]] = value.get("releases", ())
        releases = tuple(ListedRelease(**item) for item in listed)  # type: ignore[arg-type]
        return KnownReleases(releases, str(value.get("problem", "")))
    except (ValueError, TypeError, AttributeError):
        return KnownReleases()
