"""The parts of tljh, in order. A new capability is a folder, a settings section, and a line here.

A part is a package with up to four modules:

    facts.py      read(host, config, paths) -> its own frozen facts;
                  ADMINS_DIRECTORIES: directories of admins' files that the history keeps
    resources.py  resources(config, facts, paths, plugins) -> what the machine is asked to have
    checks.py     CHECKS: the checks of `status` and `doctor`
    backup.py     contents(host, config, paths) -> what of the part belongs into a backup

A part may use the facts of the parts before it in PARTS, never of those after it. A rollback looks
up each kind of change that a journal names among the imported classes, and this module imports
every part's resources. So what applies or rolls back must import it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tljh import (
    alerts,
    backup,
    certificates,
    conda,
    firewall,
    home_snapshots,
    housekeeping,
    hub,
    identity,
    machine_logins,
    proxy,
    services,
    singleuser,
    updates,
    upgrades,
    users,
    workers,
)
from tljh.base.paths import Paths
from tljh.conda import package_changes as package_changes
from tljh.conda import package_repairs as package_repairs
from tljh.engine.backup_contents import BackupContents
from tljh.engine.facts import AdminsDirectory, Facts
from tljh.engine.resource import Resource
from tljh.host.interface import HostReader
from tljh.plugins import post_install as post_install
from tljh.plugins.checks import Check
from tljh.plugins.manager import Contributions
from tljh.takeover import resources as resources
from tljh.users import moved_home as moved_home

if TYPE_CHECKING:
    from tljh.settings.root import Config

MODULES = ("facts", "resources", "checks", "backup")


@dataclass(frozen=True)
class Part:
    """A package that follows the convention; it may lack any of the modules."""

    name: str
    modules: dict[str, ModuleType]

    def _value(self, module: str, name: str) -> Any:
        # Looked up at each use: a test can replace a module's attribute.
        return getattr(self.modules.get(module), name, None)

    def read(self, host: HostReader, config: Config, paths: Paths) -> object | None:
        """Read the part's facts; None for a part without facts."""
        read: Callable[[HostReader, Config, Paths], object] | None = self._value("facts", "read")
        return read(host, config, paths) if read else None

    @property
    def admins_directories(self) -> Sequence[AdminsDirectory]:
        return self._value("facts", "ADMINS_DIRECTORIES") or ()

    def resources(
        self, config: Config, facts: Facts, paths: Paths, plugins: Contributions
    ) -> Sequence[Resource]:
        """Return the part's resources."""
        resources = self._value("resources", "resources")
        return resources(config, facts, paths, plugins) if resources else ()

    def backup_contents(self, host: HostReader, config: Config, paths: Paths) -> BackupContents:
        """Return what of the part belongs into a backup."""
        contents: Callable[[HostReader, Config, Paths], BackupContents] | None
        contents = self._value("backup", "contents")
        return contents(host, config, paths) if contents else BackupContents()

    @property
    def checks(self) -> Sequence[Check]:
        return self._value("checks", "CHECKS") or ()


def import_part(package: ModuleType) -> Part:
    """Import those modules of a part's package that exist."""
    names = {module: f"{package.__name__}.{module}" for module in MODULES}
    present = {module: import_module(name) for module, name in names.items() if find_spec(name)}
    return Part(package.__name__.rpartition(".")[2], present)


PARTS = tuple(
    map(
        import_part,
        (
            users,
            singleuser,
            machine_logins,
            conda,
            certificates,
            upgrades,
            proxy,
            services,
            hub,
            backup,
            alerts,
            firewall,
            updates,
            home_snapshots,
            housekeeping,
            identity,
            workers,
        ),
    )
)
