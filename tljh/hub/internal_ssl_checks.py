"""Checks of `internal_ssl`: certificates that end soon, and servers of a time before it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from tljh.base.clock import get_utc_time
from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.certificates.internal_authorities import list_due
from tljh.certificates.x509 import UnreadableCertificate
from tljh.hub.served_protocols import list_servers
from tljh.plugins.checks import CheckedMachine, Result
from tljh.settings.derived import uses_internal_ssl

# The hub looks once a day, and renews by a restart.
RENEWAL_TAKES = timedelta(days=10)


def check_internal_ssl(subject: CheckedMachine) -> Iterator[Result]:
    """Report certificates that the hub did not renew, and servers that speak plain HTTP."""
    config, paths = subject.config, subject.paths
    if config is None or not subject.is_installed or not uses_internal_ssl(config):
        return
    try:
        due = list_due(paths.internal_ssl, get_utc_time() - RENEWAL_TAKES)
    except (OSError, UnreadableCertificate) as error:
        what = f"the certificates of internal_ssl cannot be read: {error}"
        yield Severity.BROKEN, Finding(what, fix="sudo systemctl restart jupyterhub")
        return
    if due:
        what = f"certificates of internal_ssl were not renewed: {', '.join(due)}"
        yield Severity.DEGRADED, Finding(what, fix="sudo systemctl restart jupyterhub")
    names = list_servers(subject.host, paths, "http")
    if names:
        yield (
            Severity.FINE,
            Finding(
                f"{len(names)} {'server speaks' if len(names) == 1 else 'servers speak'} "
                f"plain HTTP: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}",
                why="they started before internal_ssl; until they stop, the hub's own port "
                "answers plain HTTP, too",
                fix="they speak TLS after their next start",
            ),
        )
