"""Resources of workers: Slurm's controller, and munge, by which its programs know each other."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.apt_resource import AptPackages
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.resource import Difference, Guard, Resource
from tljh.host.interface import Host, HostReader
from tljh.plugins.manager import Contributions
from tljh.systemd.unit_resource import Unit, UnitChange
from tljh.workers.controller import CONTROLLER_UNIT, MUNGE_UNIT, ask_controller
from tljh.workers.facts import WorkersFacts
from tljh.workers.slurm_files import FILE_NAMES, HEADER, MUNGE_DROP_IN, format_slurm_files

if TYPE_CHECKING:
    from tljh.settings.root import Config

PACKAGES = ("slurmctld", "slurm-client", "munge")
# The first release of Slurm whose workers join without a line in slurm.conf.
OLDEST_SLURM = (22, 5)
POLL_S = 0.5

_CONTROLLER = f"""\
{HEADER}[Unit]
Wants={MUNGE_UNIT}
StartLimitIntervalSec=0

[Service]
# At boot the address of the private network may come later than the controller.
Restart=on-failure
RestartSec=2
"""


@dataclass(frozen=True)
class PackagedUnit(Unit):
    """A unit that its package starts when it is installed, before our files are in their places.

    So it is restarted where a plan finds it stopped.
    """

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        planned = super().planned(host, changed)
        if planned is None or not isinstance(planned[0], UnitChange):
            return planned
        verbs = tuple("restart" if verb == "start" else verb for verb in planned[0].verbs)
        return UnitChange(self.unit, verbs), planned[1]


@dataclass(frozen=True)
class ControllerGuard(Guard):
    """Refuse a controller that could not run here; wait for its answer after a change."""

    address: str

    kind: ClassVar[str] = "workers-guard"

    @property
    def name(self) -> str:
        return CONTROLLER_UNIT

    def rehearse(self, host: Host, changed: Set[str], progress: Progress) -> Sequence[Finding]:
        addresses = host.query(["hostname", "-I"]).out.split()
        if self.address not in addresses:
            raise TljhError(
                f"workers.address {self.address} is no address of this machine",
                why=f"it has: {', '.join(addresses) or 'none but loopback'}",
                fix="sudo tljh-config set workers.address ADDRESS",
            )
        version = _find_version(host)
        if version is not None and version < OLDEST_SLURM:
            raise TljhError(
                f"workers need Slurm {_format(OLDEST_SLURM)}, and this release has "
                f"{_format(version)}",
                why="workers of older releases cannot join a running controller",
                fix="use Debian 12, Ubuntu 24.04, or a later one; here: "
                "sudo tljh-config unset workers",
            )
        return ()

    def healthy(self, host: HostReader, deadline_s: float) -> None:
        end_s = host.monotonic_s() + deadline_s
        while (problem := ask_controller(host)) is not None:
            if host.monotonic_s() >= end_s:
                raise TljhError(
                    f"Slurm's controller does not answer after {deadline_s:g} s",
                    why=host.journal(CONTROLLER_UNIT) or problem,
                    fix=f"correct the cause above; the whole log: sudo journalctl -u "
                    f"{CONTROLLER_UNIT} -e",
                )
            host.pause(POLL_S)


def _find_version(host: HostReader) -> tuple[int, int] | None:
    """Return the release of Slurm that apt would install; None if apt does not know it."""
    policy = host.query(["apt-cache", "policy", PACKAGES[0]]).out
    match = re.search(r"Candidate: (?:\d+:)?(\d+)\.(\d+)", policy)
    return (int(match[1]), int(match[2])) if match else None


def _format(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]:02}"


def resources(
    config: Config, facts: Facts, paths: Paths, plugins: Contributions
) -> Sequence[Resource]:
    """Return the controller; while workers are off, nothing of ours stays but packages and key.

    Raises TljhError where the machine has a Slurm that tljh did not configure.
    """
    workers = facts.of(WorkersFacts)
    drop_ins = (paths.controller_drop_in, paths.munge_drop_in)
    if not config.workers.enabled:
        if not workers.has_controller:
            return []
        return [
            Unit(CONTROLLER_UNIT, is_wanted=False),
            Unit(MUNGE_UNIT, is_wanted=False),
            *(Absent(paths.slurm_dir / name) for name in reversed(FILE_NAMES)),
            *(Absent(path) for path in drop_ins),
        ]
    if workers.foreign is not None:
        raise TljhError(
            "workers.enabled: this machine has a Slurm that tljh did not configure",
            why=f"{workers.foreign} is part of another cluster, which would end",
            fix="sudo tljh-config unset workers",
        )
    texts = format_slurm_files(workers.host_name, config.workers.address)
    files = [File(paths.slurm_dir / name, data) for name, data in texts.items()]
    key = File(
        paths.munge_key,
        workers.key.encode(),
        mode=0o400,
        owner="munge",
        group="munge",
        secret=True,
    )
    controller = File(paths.controller_drop_in, _CONTROLLER.encode())
    munge = File(paths.munge_drop_in, MUNGE_DROP_IN.encode())
    return [
        AptPackages(PACKAGES),
        *(Directory(drop_in.parent, 0o755) for drop_in in drop_ins),
        File(paths.workers_key, workers.key.encode(), mode=0o600, secret=True),
        key,
        controller,
        munge,
        *files,
        PackagedUnit(MUNGE_UNIT, restart_on=(key, munge)),
        PackagedUnit(
            CONTROLLER_UNIT,
            restart_on=(*files, key, controller),
            notice="servers and jobs on workers run on",
        ),
        ControllerGuard(config.workers.address),
    ]
