"""`tljh upgrade`: replace this release by a newer one; go back by itself if that fails."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tljh import __version__
from tljh.base.errors import Exit, TljhError
from tljh.base.paths import Paths, get_paths
from tljh.base.versions import parse_version
from tljh.commands.confirmation import confirm
from tljh.commands.parameters import Option, Summary
from tljh.host.interface import HostReader
from tljh.host.real import RealHost
from tljh.operations import upgrade as operations
from tljh.operations.upgrade import Candidate
from tljh.upgrades.release_index import ListedRelease, list_newer


@dataclass(frozen=True)
class NewerReleases:
    """The releases that are newer than the installed one, the newest first."""

    releases: tuple[ListedRelease, ...]

    def as_text(self) -> str:
        if not self.releases:
            return f"tljh {__version__} is the newest release"
        lines = [
            f"tljh {each.version}"
            + (" (security)" if each.is_security else "")
            + f"  {each.summary}"
            for each in self.releases
        ]
        return "\n".join([*(line.rstrip() for line in lines), "Install it: sudo tljh upgrade"])

    def as_json(self) -> dict[str, Any]:
        return {
            "installed": __version__,
            "newer": [
                {
                    "version": each.version,
                    "security": each.is_security,
                    "upgrades_from": each.upgrades_from,
                    "summary": each.summary,
                }
                for each in self.releases
            ],
        }


def upgrade(
    *,
    version: Annotated[
        str | None, Option("--version", "This release, not the newest.", "V")
    ] = None,
    file: Annotated[
        Path | None, Option("--file", "The release in this bootstrap.py.", "BOOTSTRAP")
    ] = None,
    check: Annotated[bool, Option("--check", "Print which releases are newer.")] = False,
    plan: Annotated[bool, Option("--plan", "Print what would change; change nothing.")] = False,
    scheduled: Annotated[
        bool, Option("--scheduled", "As upgrade.automatic says; the timer runs this.")
    ] = False,
    yes: Annotated[bool, Option("--yes", "Do not ask.")] = False,
    as_json: bool = False,
) -> NewerReleases | Summary | int:
    """Upgrade tljh with the hub running; go back by itself, database included, if it fails."""
    if file is not None and (version is not None or check or scheduled):
        raise TljhError(
            "--file goes with --plan and --yes only",
            why="the file has one release",
            exit_code=Exit.USAGE,
        )
    host, paths = RealHost(), get_paths()
    if check:
        return NewerReleases(list_newer(operations.look_for_releases(host, paths), __version__))
    if scheduled:
        candidate, yes = operations.find_scheduled(host, paths), True
    elif file is not None:
        candidate = operations.read_candidate(host, paths, file)
        operations.refuse_older(candidate.version)
        if parse_version(candidate.version) == parse_version(__version__):
            candidate = None
    else:
        candidate = operations.find_candidate(host, paths, version)
    if candidate is None:
        text = f"Nothing to do: tljh {__version__} is installed."
        return Summary((text,), {"installed": __version__, "upgraded": False})
    return _upgrade_to(host, paths, candidate, is_plan=plan, yes=yes, as_json=as_json)


def _upgrade_to(
    host: HostReader, paths: Paths, candidate: Candidate, *, is_plan: bool, yes: bool, as_json: bool
) -> int:
    options = ["--json"] if as_json else []
    if is_plan or not yes:
        code = operations.run_bootstrap(host, paths, candidate, "--plan", *options)
        if is_plan or code != 0:
            return code
        confirm(
            f"This is what changes from tljh {__version__} to {candidate.version}.",
            "Upgrade now?",
            yes=yes,
        )
    return operations.run_bootstrap(host, paths, candidate, "--yes", *options)
