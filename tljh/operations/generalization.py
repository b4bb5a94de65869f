"""Preparing a machine to be copied: its secrets go, and each copy makes new ones when it boots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tljh.base import interruptions
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import HUB_UNIT, PROXY_UNIT, SERVER_UNITS, SERVICE_UNITS
from tljh.engine.file_resources import File
from tljh.engine.journal import Journal
from tljh.engine.manifest import extend_manifest
from tljh.engine.plan import Plan, plan
from tljh.engine.removals import EmptiedFile, RemovedTree, StoppedUnits
from tljh.engine.resource import Resource
from tljh.host.interface import Host, HostReader
from tljh.operations.converge import LOCK_TIMEOUT_S
from tljh.operations.rotation import list_secrets
from tljh.systemd.unit_resource import Unit

MACHINE_ID = Path("/etc/machine-id")
SSH = Path("/etc/ssh")
RANDOM_SEED = Path("/var/lib/systemd/random-seed")
STAYS = (
    "users with their passwords, tokens and homes, settings, packages, and the hub's database",
    "secrets that are not this machine's alone: of the login, of mail, of backups, certificates",
)


def plan_generalization(host: HostReader, paths: Paths) -> Plan:
    """Return what goes from the machine. Raises TljhError if no hub is installed."""
    if host.readlink(paths.hub) is None:
        raise TljhError(f"there is no hub installed at {paths.prefix}", fix="sudo tljh status")
    return plan(_list_steps(host, paths), host)


def _list_steps(host: HostReader, paths: Paths) -> Sequence[Resource]:
    host_keys = (name for name in host.listdir(SSH) if name.startswith("ssh_host_"))
    # Variables of services, with their tokens: those begin at the next boot, too.
    variables = (name for name in host.listdir(paths.state_dir) if name.endswith(".env"))
    return [
        # First, so that a run that was killed half-way ends with a hub at the next boot.
        File(paths.generalized, b"", mode=0o600),
        StoppedUnits(SERVER_UNITS),
        StoppedUnits(SERVICE_UNITS, "of the hub", "service"),
        Unit(HUB_UNIT, is_wanted=False),
        Unit(PROXY_UNIT, is_wanted=False),
        *(RemovedTree(secret.file(paths)) for secret in list_secrets(host, paths)),
        *(RemovedTree(paths.state_dir / name) for name in variables),
        RemovedTree(paths.identity),
        RemovedTree(paths.usage_history),
        RemovedTree(paths.claims_dir),
        RemovedTree(paths.local_ca.directory),
        RemovedTree(paths.internal_ssl),
        # Its entries have older secrets, for rollbacks.
        RemovedTree(paths.journal_dir),
        *(RemovedTree(SSH / name) for name in sorted(host_keys)),
        RemovedTree(RANDOM_SEED),
        EmptiedFile(MACHINE_ID),
    ]


def generalize(host: Host, paths: Paths, progress: Progress) -> Plan:
    """Remove what copies must not share; return what was done.

    Run again, it continues. Raises TljhError for a step that fails.
    """
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S), interruptions.held_back():
        # The manifest outlives the journal: an uninstall needs it.
        extend_manifest(host, paths.manifest, Journal(paths.journal_dir).changes(host))
        planned = plan_generalization(host, paths)
        for step in planned.steps:
            with progress.step(f"remove {step.title}"):
                step.resource.apply(host, progress)
        interruptions.keep_change()
    return planned
