"""Checks of `status`: whether a newer release exists."""

from __future__ import annotations

from collections.abc import Iterator

from tljh import __version__
from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.plugins.checks import Check, CheckedMachine, Result
from tljh.upgrades.known_releases import read_known_releases
from tljh.upgrades.release_index import list_newer


def _check_newer_release(subject: CheckedMachine) -> Iterator[Result]:
    """Report the newest release that the last look saw; a look that failed is no finding."""
    settings = subject.config.upgrade if subject.config else None
    if settings is None or not settings.url or settings.automatic == "never":
        return
    newer = list_newer(read_known_releases(subject.host, subject.paths).releases, __version__)
    if not newer:
        return
    security = ", with a security fix" if any(each.is_security for each in newer) else ""
    yield (
        Severity.FINE,
        Finding(
            f"tljh {newer[0].version} is available{security}; this is {__version__}",
            why=newer[0].summary or None,
            fix="see what changes: sudo tljh upgrade --plan",
        ),
    )


CHECKS = (Check("newer release", _check_newer_release),)
