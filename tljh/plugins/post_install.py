"""The hook `tljh_post_install`, as a resource of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from tljh.base.paths import get_paths
from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import Host, HostReader
from tljh.plugins.guard import PluginError
from tljh.plugins.manager import (
    INSTALL_TIMEOUT_S,
    PluginFailure,
    call_implementation,
    load_installed_plugins,
)
from tljh.plugins.written_files import Written, add_written, record_writes


@dataclass(frozen=True)
class PluginInstallations(Resource):
    """A run of every plugin's `tljh_post_install`, once for each set of plugins.

    The file `marker` names the plugins of the last run that succeeded. A plugin that fails is named
    and runs again with the next installation; one of `required` has the change rolled back.
    `sections` are those that plugins added to config.yaml before, by plugin.
    """

    marker: Path
    plugins: tuple[str, ...]
    required: tuple[str, ...] = ()
    sections: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    kind: ClassVar[str] = "plugins"
    stage: ClassVar[Stage] = Stage.LAST
    rollback: ClassVar[RollbackMethod] = RollbackMethod.ONE_WAY

    @property
    def name(self) -> str:
        return ", ".join(self.plugins)

    @property
    def _text(self) -> bytes:
        return "\n".join(self.plugins).encode() + b"\n"

    def difference(self, host: HostReader) -> Difference | None:
        if not self.plugins or host.read(self.marker) == self._text:
            return None
        return Difference("!", "runs tljh_post_install")

    def before(self, host: HostReader) -> Record:
        old = host.read(self.marker)
        return {"marker": str(self.marker), "old": old.decode() if old else None}

    def apply(self, host: Host, progress: Progress) -> None:
        failures = self._call_and_record(host)
        for failure in failures:
            if failure.plugin in self.required:
                raise PluginError(failure.plugin, failure.finding)
            progress.note(f"warning: {failure.finding.as_note()}")
        failed = {failure.plugin for failure in failures}
        done = tuple(name for name in self.plugins if name not in failed)
        host.write(self.marker, replace(self, plugins=done)._text, mode=0o600)

    def _call_and_record(self, host: Host) -> list[PluginFailure]:
        """Call the hook of each plugin, and record what it writes; return the failures."""
        failures: list[PluginFailure] = []
        paths = get_paths()
        hook = "tljh_post_install"
        written = {name: Written(sections=names) for name, names in self.sections.items()}
        for implementation in getattr(load_installed_plugins().hook, hook).get_hookimpls():
            name = implementation.plugin_name
            with record_writes(host, paths) as recorded:
                try:
                    call_implementation(implementation, hook, INSTALL_TIMEOUT_S)
                except PluginError as error:
                    failures.append(PluginFailure(error.plugin, error.finding))
            written[name] = replace(recorded[0], sections=self.sections.get(name, ()))
        add_written(host, paths, written)
        return failures

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        # The plugin's own effects stay. The marker goes back, so that the next apply runs it again.
        if record["old"] is None:
            host.remove(Path(record["marker"]))
        else:
            host.write(Path(record["marker"]), record["old"].encode(), mode=0o600)
