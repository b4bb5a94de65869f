"""Facts about workers: the key, this machine's name, and a Slurm that is not ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.host.secret_files import read_or_make_secret
from tljh.workers.slurm_files import MARK

if TYPE_CHECKING:
    from tljh.settings.root import Config

# The shortest key that munge takes has 32 bytes.
KEY_BYTES = 64
# A machine with one of these belongs to a cluster, also without a slurm.conf.
_MEMBERS = ("slurmd.service", "sackd.service")


@dataclass(frozen=True)
class WorkersFacts:
    """`foreign` says which Slurm is on this machine that tljh did not configure; None for none.

    `key` is a new one in memory until a plan writes it; empty while workers are off.
    """

    key: str = ""
    host_name: str = ""
    has_controller: bool = False
    foreign: str | None = None


def read(host: HostReader, config: Config, paths: Paths) -> WorkersFacts:
    """Read whether the controller is here; the rest only if it is wanted."""
    has_controller = is_configured(host, paths)
    if not config.workers.enabled:
        return WorkersFacts(has_controller=has_controller)
    return WorkersFacts(
        read_or_make_secret(host, paths.workers_key, KEY_BYTES),
        read_host_name(host),
        has_controller,
        None if has_controller else _find_foreign(host, paths),
    )


def read_host_name(host: HostReader) -> str:
    """Return this machine's name as slurmctld compares it, without the domain."""
    return host.query(["hostname"]).out.strip().partition(".")[0] or "localhost"


def is_configured(host: HostReader, paths: Paths) -> bool:
    """Return whether Slurm's configuration on this machine is the one that tljh wrote."""
    return (host.read(paths.slurm_dir / "slurm.conf") or b"").startswith(MARK.encode())


def _find_foreign(host: HostReader, paths: Paths) -> str | None:
    if host.info(paths.slurm_dir / "slurm.conf", follow=True) is not None:
        return str(paths.slurm_dir / "slurm.conf")
    return next((name for name in _MEMBERS if host.unit(name).is_active), None)
