"""`tljh plugin list`, `add`, `remove`, `new`: the plugins of the hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

from tljh.base.paths import get_paths
from tljh.commands.confirmation import confirm
from tljh.commands.parameters import Argument, Option, Summary, choose_progress_on_stderr
from tljh.commands.reload import PlannedChange
from tljh.host.real import RealHost
from tljh.operations import plugins as operations
from tljh.operations.plugin_skeleton import write_skeleton
from tljh.operations.plugins import ListedPlugin

PlanOption = Annotated[bool, Option("--plan", "Print what would change; change nothing.")]
YesOption = Annotated[bool, Option("--yes", "Do not ask.")]


@dataclass(frozen=True)
class PluginList:
    """The installed plugins."""

    plugins: tuple[ListedPlugin, ...]

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "name": plugin.name,
                "package": plugin.package,
                "version": plugin.version,
                "spec": plugin.spec,
                "required": plugin.is_required,
                "works": plugin.mistake is None,
                "mistake": plugin.mistake.as_json() if plugin.mistake else None,
            }
            for plugin in self.plugins
        ]

    def as_text(self) -> str:
        if not self.plugins:
            return "no plugin is installed: sudo tljh plugin add PACKAGE"
        lines = []
        for plugin in self.plugins:
            line = f"{plugin.name}  {plugin.package} {plugin.version}"
            line += "  required" if plugin.is_required else ""
            line += "" if plugin.spec else "  (installed by hand)"
            lines.append(line)
            if plugin.mistake:
                lines.append(f"  left out: {plugin.mistake.as_note()}")
        return "\n".join(lines)


def list_plugins() -> PluginList:
    """List the plugins of the hub, and why one is left out."""
    return PluginList(tuple(operations.list_plugins(RealHost(), get_paths())))


def add(
    spec: Annotated[str, Argument("PACKAGE", "A pip requirement, a directory, or a URL.")],
    *,
    plan: PlanOption = False,
    yes: YesOption = False,
    as_json: bool = False,
) -> int:
    """Install a plugin into the next hub environment, and run its actions at an installation."""
    host, paths = RealHost(), get_paths()
    options = ["--json"] if as_json else []
    if plan or not yes:
        code = operations.add(host, paths, spec, ["--plan", *options])
        if plan or code != 0:
            return code
        confirm("This is what changes with the plugin.", "Add it now?", yes=yes)
    return operations.add(host, paths, spec, ["--yes", *options])


def remove(
    name: Annotated[str, Argument("NAME", "A plugin, as `tljh plugin list` has it.")],
    *,
    plan: PlanOption = False,
    yes: YesOption = False,
    as_json: bool = False,
) -> PlannedChange | Summary:
    """Remove a plugin, and what it brought to the machine."""
    host, paths = RealHost(), get_paths()
    if plan or not yes:
        planned = operations.plan_removal(host, paths, name)
        if plan:
            return PlannedChange(planned)
        confirm(planned.as_text(), f"Remove the plugin {name}?", yes=yes)
    outcome = operations.remove(host, paths, name, choose_progress_on_stderr(as_json))
    line = f"plugin {name} is removed: state {outcome.number}; to bring it back: "
    line += "sudo tljh-config rollback"
    notes = tuple(finding.as_text("warning") for finding in outcome.warnings)
    return Summary((line,), {"name": name, "number": outcome.number}, notes)


def new(
    name: Annotated[str, Argument("NAME", "A name for the plugin, like mycourse.")],
    *,
    directory: Annotated[
        Path | None, Option("--directory", "Where to make it; without it, here.", "DIR")
    ] = None,
) -> Summary:
    """Write a plugin that works, with tests, as a start for one's own."""
    path = write_skeleton(RealHost(), name, (directory or Path.cwd()).resolve())
    lines = (
        f"{path} has a plugin with its tests. To run them: "
        f"cd {quote(str(path))} && {quote(str(get_paths().hub_files.python))} -m unittest",
        f"To install it: sudo tljh plugin add {quote(str(path))}",
    )
    return Summary(lines, {"path": str(path)})
