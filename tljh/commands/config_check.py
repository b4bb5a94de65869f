"""`tljh-config check`: every mistake in the configuration, before it is applied."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh.base.errors import Finding
from tljh.base.paths import get_paths
from tljh.host.real import RealHost
from tljh.operations.examined_config import add_file_problems
from tljh.operations.installed_config import open_installed_file
from tljh.operations.reload import try_reload


@dataclass(frozen=True)
class ConfigCheck:
    """The findings in a configuration file; the exit code is 1 for errors."""

    path: Path
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        return 1 if self.errors else 0

    def as_text(self) -> str:
        lines = [finding.as_text() for finding in self.errors]
        lines += [finding.as_text("warning") for finding in self.warnings]
        if not self.errors:
            lines.append(f"{self.path} is fine")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "errors": [finding.as_json() for finding in self.errors],
            "warnings": [finding.as_json() for finding in self.warnings],
        }


def check(*, config_path: Path | None = None) -> ConfigCheck:
    """Print every mistake in the configuration; change nothing."""
    file = open_installed_file(config_path)
    examined = file.examine()
    host, paths = RealHost(), get_paths()
    add_file_problems(examined, host, paths)
    errors = examined.findings("error", "incomplete")
    warnings = examined.findings("warning")
    if not errors and config_path is None and host.readlink(paths.hub) is not None:
        errors, more = try_reload(host, paths)
        warnings += [finding for finding in more if finding not in warnings]
    return ConfigCheck(file.path, tuple(errors), tuple(warnings))
