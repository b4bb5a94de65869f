"""What plugins ask the machine to have, and the removal of what they asked for before.

A ledger keeps what each plugin brought. What it does not declare any more goes, and all of it once
the plugin is not installed. A plugin that is left out because it fails keeps what it has.
"""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.paths import Paths
from tljh.base.well_known import HUB_UNIT, PROXY_UNIT
from tljh.engine.apt_resource import AptPackages
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.manifest import read_manifest
from tljh.engine.resource import Difference, Placeholder, Resource, Stage
from tljh.host.interface import HostReader
from tljh.operations.installed_config import find_hub_environment
from tljh.plugins import declared
from tljh.plugins.guard import suggest_removal
from tljh.plugins.manager import (
    Contributions,
    ask_hook,
    list_apt_packages,
    list_installed,
)
from tljh.plugins.written_files import compute_digest, format_written, read_written
from tljh.proxy.facts import RULES
from tljh.proxy.traefik_drop_ins import check_rules
from tljh.systemd.unit_resource import TriggerUnit, Unit

if TYPE_CHECKING:
    from tljh.settings.root import Config

# Units of tljh, of users' servers, and those that a machine needs to be reached.
RESERVED_UNITS = (HUB_UNIT, PROXY_UNIT, "jupyter", "tljh", "traefik", "ssh", "systemd-", "dbus")


@dataclass(frozen=True)
class PluginItems:
    """What one plugin brought: paths, units and Debian packages."""

    files: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class PluginAnswers:
    """What plugins answered: their declarations, and the mistakes of those that failed."""

    contributions: Contributions
    declarations: Mapping[str, Any]
    mistakes: Mapping[str, Finding]


@dataclass(frozen=True)
class PluginResources:
    """Resources of plugins, removals of what they brought before, and what stays."""

    resources: tuple[Resource, ...]
    warnings: tuple[Finding, ...]
    notes: tuple[str, ...]


def dump_config(config: Config) -> dict[str, Any]:
    """Return the settings as plugins' hooks get them: plain values, with the defaults."""
    values: dict[str, Any] = config.model_dump(mode="json")
    return values


def ask_plugins(
    host: HostReader, paths: Paths, config: Config, facts: Facts, plugins: Contributions
) -> PluginAnswers:
    """Ask the plugins for resources and Traefik rules.

    Rules that Traefik would refuse are left out.
    """
    environment = facts.hub_environment
    arguments = {"config": dump_config(config)}
    declarations, failures = ask_hook(host, environment, plugins, "tljh_resources", arguments)
    rules, rule_failures = ask_hook(host, environment, plugins, "tljh_traefik_rules", arguments)
    mistakes = {each.plugin: each.finding for each in (*failures, *rule_failures)}
    files: dict[str, bytes] = {}
    for name, answer in rules.items():
        file = f"plugin-{name}.yaml"
        # JSON is YAML.
        data = json.dumps(answer or {}, indent=1).encode() + b"\n"
        findings = check_rules({**facts.files_in(RULES), **files, file: data}, paths.rules_dir)
        if findings:
            what = findings[0].what
            mistakes[name] = _describe_refusal(host, environment, name, "tljh_traefik_rules", what)
        elif answer:
            files[file] = data
    return PluginAnswers(replace(plugins, traefik_rules=files), declarations, mistakes)


def build_plugin_resources(
    host: HostReader,
    paths: Paths,
    config: Config,
    facts: Facts,
    answers: PluginAnswers,
    others: Sequence[Resource],
) -> PluginResources:
    """Return what plugins declare as resources, and removals of what they do not any more.

    `others` are the resources of tljh. A plugin that declares one of these, or what it may not
    have, is left out with a warning. Raises TljhError for a required one.
    """
    environment, mistakes = facts.hub_environment, dict(answers.mistakes)
    previous = read_ledger(host, paths)
    taken = {resource.key for resource in others}
    resources: list[Resource] = []
    items: dict[str, PluginItems] = {}
    for name, values in answers.declarations.items():
        brought = previous.get(name, PluginItems())
        try:
            declarations = declared.from_json(values or ())
            plugin_resources, plugin_items = _convert(host, paths, declarations, brought)
            for resource in plugin_resources:
                if resource.key in taken and not isinstance(resource, Directory):
                    raise ValueError(f"{resource.name} belongs to another plugin or to tljh")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            mistakes[name] = _describe_refusal(host, environment, name, "tljh_resources", error)
            continue
        items[name] = plugin_items
        resources += [
            each
            for each in plugin_resources
            if not (isinstance(each, Directory) and each.key in taken)
        ]
        taken |= {resource.key for resource in plugin_resources}
    for name in config.plugins.required:
        if name in mistakes:
            raise TljhError([mistakes[name]])
    for name in (*mistakes, *answers.contributions.left_out):
        if name in previous:
            items[name] = previous[name]
    installed = {plugin.name for plugin in list_installed(host, environment)}
    removals, notes = _remove(host, paths, previous, items, installed)
    left, left_notes = remove_written(host, paths, installed)
    removals += left
    packages = {name for each in items.values() for name in each.packages}
    packages |= set(answers.contributions.apt_packages)
    notes += [*left_notes, *_note_packages(host, paths, installed, packages)]
    ledger = {name: vars(each) for name, each in items.items() if each != PluginItems()}
    if ledger or previous:
        data = json.dumps(ledger, indent=1).encode() + b"\n"
        resources.append(File(paths.plugin_items, data, mode=0o600))
    return PluginResources((*resources, *removals), tuple(mistakes.values()), tuple(notes))


def read_ledger(host: HostReader, paths: Paths) -> dict[str, PluginItems]:
    """Return what each plugin brought."""
    try:
        values = json.loads(host.read(paths.plugin_items) or b"{}")
        return {
            name: PluginItems(**{key: tuple(names) for key, names in each.items()})
            for name, each in values.items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def _convert(
    host: HostReader, paths: Paths, declarations: Iterable[Any], before: PluginItems
) -> tuple[list[Resource], PluginItems]:
    """Return the resources of what one plugin declares. Raises ValueError for what it may not.

    `before` is what the plugin brought earlier: its directories are still its own.
    """
    files: list[File] = []
    units: list[declared.PluginUnit] = []
    directories: dict[str, Directory] = {}
    packages: list[str] = []
    for each in declarations:
        if isinstance(each, declared.PluginDirectory):
            path = _check_path(each.path, paths)
            directories[each.path] = Directory(path, each.mode, each.owner, each.group)
        elif isinstance(each, declared.PluginFile):
            path = _check_path(each.path, paths)
            data = each.text.encode()
            files.append(File(path, data, each.mode, each.owner, each.group, each.secret))
        elif isinstance(each, declared.PluginUnit):
            if each.name.startswith(RESERVED_UNITS):
                raise ValueError(f"the unit {each.name} is not a plugin's")
            units.append(each)
            files.append(File(paths.units_dir / each.name, each.text.encode()))
        elif isinstance(each, declared.PluginPackages):
            packages += each.names
        else:
            raise TypeError(f"a {type(each).__name__} is not for tljh_resources")
    for file in files:
        for parent in file.path.parents:
            is_ours = str(parent) in before.directories
            if (is_ours or host.info(parent) is None) and str(parent) not in directories:
                directories[str(parent)] = Directory(parent, 0o755)
    by_name = {file.path.name: file for file in files}
    started = [
        (TriggerUnit if unit.name.endswith((".timer", ".path")) else Unit)(
            unit.name, restart_on=(by_name[unit.name],)
        )
        for unit in units
        if unit.starts
    ]
    all_directories = sorted(directories.values(), key=lambda directory: len(directory.path.parts))
    apt: list[Resource] = [AptPackages(tuple(packages))] if packages else []
    new = [
        str(each.path)
        for each in all_directories
        if str(each.path) in before.directories or host.info(each.path) is None
    ]
    return [*apt, *all_directories, *files, *started], PluginItems(
        tuple(str(file.path) for file in files),
        tuple(new),
        tuple(unit.name for unit in units),
        tuple(packages),
    )


def _check_path(text: str, paths: Paths) -> Path:
    path = Path(text)
    is_drop_in = path.is_relative_to(paths.user)
    if path.is_relative_to(paths.prefix) and not is_drop_in:
        raise ValueError(f"{path} is in tljh's own directory")
    return path


def _describe_refusal(
    host: HostReader, environment: Path, name: str, hook: str, error: Exception | str
) -> Finding:
    plugin = next(plugin for plugin in list_installed(host, environment) if plugin.name == name)
    module = plugin.metadata.parent / f"{plugin.module.replace('.', '/')}.py"
    if host.info(module) is None:
        module = module.with_suffix("") / "__init__.py"
    source = (host.read(module) or b"").decode(errors="replace")
    offset = source.find(f"def {hook}")
    line = source.count("\n", 0, offset) + 1 if offset >= 0 else None
    return Finding(
        f"plugin {name} asks in {hook} for what it cannot have: {error}",
        Place(str(module), line),
        None,
        suggest_removal(name),
    )


def _remove(
    host: HostReader,
    paths: Paths,
    previous: Mapping[str, PluginItems],
    items: Mapping[str, PluginItems],
    installed: set[str],
) -> tuple[list[Resource], list[str]]:
    """Return the removals of what no plugin declares any more, and notes on what stays."""
    kept_files = {path for each in items.values() for path in (*each.files, *each.directories)}
    kept_units = {unit for each in items.values() for unit in each.units}
    kept_packages = {package for each in items.values() for package in each.packages}
    originals = _read_originals(host, paths)
    removals: list[Resource] = []
    directories: list[Path] = []
    notes = []
    for name, each in previous.items():
        for unit in each.units:
            if unit not in kept_units:
                removals.append(Unit(unit, is_wanted=False))
        for text in each.files:
            if text not in kept_files:
                removals.append(originals.get(text) or Absent(Path(text)))
        directories += [Path(text) for text in each.directories if text not in kept_files]
        packages = [package for package in each.packages if package not in kept_packages]
        if packages and name not in installed:
            notes.append(_format_package_note(name, packages))
    # Inner ones first. One that others have filled since stays.
    directories.sort(key=lambda path: -len(path.parts))
    return [*removals, *map(EmptiedDirectory, directories)], notes


def remove_written(
    host: HostReader, paths: Paths, installed: set[str]
) -> tuple[list[Resource], list[str]]:
    """Return removals of what plugins wrote that are gone, and notes on what was edited since."""
    written = read_written(host, paths)
    gone = {name: each for name, each in written.items() if name not in installed}
    if not gone:
        return [], []
    removals: list[Resource] = []
    notes = []
    for name, each in gone.items():
        for text, digest in each.files.items():
            path = Path(text)
            current = compute_digest(host, path)
            if current == digest:
                if path.parent == paths.units_dir and not path.name.endswith(".slice"):
                    removals.append(Unit(path.name, is_wanted=False))
                removals.append(Absent(path))
            elif current is not None:
                notes.append(f"{text}, which plugin {name} wrote, was edited since, so it stays")
        directories = sorted(each.directories, key=lambda directory: -len(Path(directory).parts))
        removals += [EmptiedDirectory(Path(text)) for text in directories]
    left = {name: each for name, each in written.items() if name in installed}
    ledger: Resource = Absent(paths.plugin_writes)
    if left:
        ledger = File(paths.plugin_writes, format_written(left), mode=0o600)
    return [*removals, ledger], notes


def list_removed_drop_ins(host: HostReader, paths: Paths, environment: Path) -> set[Path]:
    """Return the files of plugins that are gone, which a plan must not take for the admins'."""
    installed = {plugin.name for plugin in list_installed(host, environment)}
    removals, _ = remove_written(host, paths, installed)
    return {each.path for each in removals if isinstance(each, Absent)}


def _note_packages(
    host: HostReader, paths: Paths, installed: set[str], still_needed: set[str]
) -> Iterator[str]:
    """Yield a note on Debian packages that a plugin of the current environment asked for.

    They stay when it goes: other packages may depend on them since.
    """
    for name, packages in list_apt_packages(host, find_hub_environment(host, paths)).items():
        left = [package for package in packages if package not in still_needed]
        if name not in installed and left:
            yield _format_package_note(name, left)


def _format_package_note(plugin: str, packages: Sequence[str]) -> str:
    return (
        f"plugin {plugin} brought Debian packages, which stay: {', '.join(packages)}; "
        f"to remove them: sudo apt-get remove {shlex.join(packages)}"
    )


@dataclass(frozen=True)
class EmptiedDirectory(Placeholder):
    """The removal of a directory that is empty once the files in it are removed."""

    path: Path

    kind: ClassVar[str] = "emptied-directory"
    stage: ClassVar[Stage] = Stage.FILES

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def key(self) -> str:
        return Absent(self.path).key

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        info = host.info(self.path)
        if info is None or info.kind != "directory":
            return None
        left = host.listdir(self.path)
        if any(Absent(self.path / name).key not in changed for name in left):
            return None
        return Absent(self.path), Difference("-", "directory")


def _read_originals(host: HostReader, paths: Paths) -> dict[str, Resource]:
    """Return the files that were there before tljh first changed them."""
    originals: dict[str, Resource] = {}
    for change in read_manifest(host, paths.manifest):
        record = change.record
        if change.kind == File.kind and record.get("kind") == "file" and "data" in record:
            originals[change.name] = File(
                Path(record["path"]),
                base64.b64decode(record["data"]),
                record["mode"],
                record["owner"],
                record["group"],
            )
    return originals
