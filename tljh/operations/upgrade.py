"""Upgrades: choose a release, get its bootstrap, and have that bootstrap do the rest.

The newer release's bootstrap checks the machine, builds its hub environment next to the current
one, and hands over to its own `tljh install`, which plans, applies, verifies and rolls back. So
running a newer bootstrap.py by hand is the same operation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tljh import __version__
from tljh.base.errors import Exit, TljhError
from tljh.base.package_indexes import SETTINGS_VARIABLE
from tljh.base.paths import Paths
from tljh.base.versions import find_replacement_problem, parse_version
from tljh.host.command_environment import changed_environment
from tljh.host.interface import Host, HostReader
from tljh.host.terminal_program import run_on_terminal
from tljh.operations.installed_config import load_configuration, read_installed_configuration
from tljh.settings.package_variables import read_configured_variables, read_package_variables
from tljh.upgrades.known_releases import KnownReleases, write_known_releases
from tljh.upgrades.release_index import (
    ListedRelease,
    choose_release,
    fetch_release,
    list_newer,
    read_index,
)

if TYPE_CHECKING:
    from tljh.settings.sections.upgrade import UpgradeSettings


@dataclass(frozen=True)
class Candidate:
    """A release that can be upgraded to, and its bootstrap on this machine."""

    version: str
    bootstrap: Path


def read_upgrade_settings(host: HostReader, paths: Paths) -> UpgradeSettings:
    """Return the settings of the installed hub. Raises TljhError if none is installed."""
    return load_configuration(host, paths, read_installed_configuration(host, paths)).upgrade


def read_candidate(host: HostReader, paths: Paths, file: Path) -> Candidate:
    """Return the release that a bootstrap.py carries. Raises TljhError for any other file."""
    bootstrap = Path.cwd() / file
    if host.info(bootstrap, follow=True) is None:
        raise TljhError(f"there is no file {bootstrap}", exit_code=Exit.USAGE)
    result = host.query([str(paths.hub_files.python), "-I", str(bootstrap), "--version"])
    match = re.match(r"tljh (\S+):", result.out)
    if match is None:
        raise TljhError(
            f"{bootstrap} is not a bootstrap.py of tljh, or it is incomplete",
            why=(result.err or result.out).strip()[-500:] or None,
            fix="download it again",
        )
    return Candidate(match[1], bootstrap)


def refuse_older(version: str) -> None:
    """Raise TljhError if `version` is older than the installed release."""
    problem = find_replacement_problem(__version__, version, "0")
    if problem:
        raise TljhError([problem])


def look_for_releases(host: Host, paths: Paths) -> tuple[ListedRelease, ...]:
    """Return the releases of the index, and keep them for `tljh status`. Raises TljhError."""
    settings = read_upgrade_settings(host, paths)
    try:
        with changed_environment(read_package_variables(host, paths)):
            releases = read_index(host, settings, paths.releases)
    except TljhError as error:
        write_known_releases(host, paths, KnownReleases(problem=error.findings[0].what))
        raise
    write_known_releases(host, paths, KnownReleases(releases))
    return releases


def download(host: Host, paths: Paths, release: ListedRelease) -> Candidate:
    """Download a release, check it, and return it; the file stays until the next download."""
    with changed_environment(read_package_variables(host, paths)):
        data = fetch_release(host, read_upgrade_settings(host, paths), release)
    bootstrap = paths.releases / "bootstrap.py"
    host.write(bootstrap, data, mode=0o600)
    candidate = read_candidate(host, paths, bootstrap)
    if parse_version(candidate.version) != parse_version(release.version):
        raise TljhError(
            f"the index says {release.version}, but the file is tljh {candidate.version}",
            fix="tell the operator of upgrade.url",
        )
    return candidate


def find_candidate(host: Host, paths: Paths, version: str | None) -> Candidate | None:
    """Return the release at `upgrade.url` to upgrade to; None if there is nothing newer."""
    release = choose_release(look_for_releases(host, paths), __version__, version)
    return download(host, paths, release) if release else None


def find_scheduled(host: Host, paths: Paths) -> Candidate | None:
    """Return the release to install unattended; None if upgrade.automatic asks for none.

    With `security`, a release is installed if it, or one that it includes, has a security fix.
    """
    automatic = read_upgrade_settings(host, paths).automatic
    try:
        releases = look_for_releases(host, paths)
    except TljhError:
        # Only a look: a machine without a network must not have a failed unit each day.
        if automatic == "notify":
            return None
        raise
    release = choose_release(releases, __version__)
    if release is None or automatic in ("never", "notify"):
        return None
    included = [
        each
        for each in list_newer(releases, __version__)
        if parse_version(each.version) <= parse_version(release.version)
    ]
    if automatic == "security" and not any(each.is_security for each in included):
        return None
    return download(host, paths, release)


def run_bootstrap(host: HostReader, paths: Paths, candidate: Candidate, *arguments: str) -> int:
    """Run a release's bootstrap with our terminal; return its exit code."""
    command = [str(paths.hub_files.python), "-I", str(candidate.bootstrap), *arguments]
    configured = read_configured_variables(host, paths)
    variables = {
        **configured,
        # The bootstrap keeps variables for later runs. These are in config.yaml, and may change.
        SETTINGS_VARIABLE: " ".join(configured),
        "TLJH_INSTALL_PREFIX": str(paths.prefix),
    }
    return run_on_terminal(command, env=variables)
