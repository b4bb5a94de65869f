"""The plugins of the installed hub: listing, adding and removing them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from tljh import __version__
from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.plan import Plan
from tljh.host.interface import Host, HostReader
from tljh.operations.converge import Outcome, Request, converge, work_out
from tljh.operations.install_and_reload import make_reload_request
from tljh.operations.installed_config import (
    edit_configuration,
    find_hub_environment,
    load_configuration,
    read_installed_configuration,
)
from tljh.operations.plugin_events import call_event
from tljh.operations.upgrade import Candidate, run_bootstrap
from tljh.plugins.manager import list_installed, list_sections
from tljh.plugins.selection import parse_selection
from tljh.plugins.written_files import read_written
from tljh.settings.declaration import KeyPath
from tljh.settings.yaml_changes import MISSING, read_value_at
from tljh.settings.yaml_edit import remove_item, unset_value

if TYPE_CHECKING:
    from tljh.settings.root import Config

PACKAGES: KeyPath = ("plugins", "packages")
ALLOWED_SECTIONS: KeyPath = ("plugins", "sections")
REQUIRED: KeyPath = ("plugins", "required")


@dataclass(frozen=True)
class ListedPlugin:
    """An installed plugin. `spec` is its item in plugins.packages, `mistake` why it is left out."""

    name: str
    package: str
    version: str
    spec: str | None
    is_required: bool
    mistake: Finding | None


def list_plugins(host: HostReader, paths: Paths) -> list[ListedPlugin]:
    """Return the plugins of the hub environment, without running any of them."""
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    selection = parse_selection(host.read(paths.applied.plugins))
    plugins = list_installed(host, find_hub_environment(host, paths))
    listed = []
    for plugin in plugins:
        package, _, version = plugin.distribution.rpartition("-")
        listed.append(
            ListedPlugin(
                plugin.name,
                package.replace("_", "-"),
                version,
                _find_spec(config, package, _read_origin(host, plugin.metadata)),
                plugin.name in config.plugins.required,
                selection.left_out.get(plugin.name),
            )
        )
    return sorted(listed, key=lambda plugin: plugin.name)


def _normalize(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _read_origin(host: HostReader, metadata: Path) -> str | None:
    """Return the URL that a package was installed from, as installers record it."""
    try:
        return str(json.loads(host.read(metadata / "direct_url.json") or b"{}")["url"])
    except (ValueError, KeyError, TypeError):
        return None


def _find_spec(config: Config, package: str, origin: str | None) -> str | None:
    """Return the item of plugins.packages that installs a package; None if there is none.

    A directory need not have the package's name, so it is found by `origin`, too.
    """
    for spec in config.plugins.packages:
        if origin is not None and origin.rstrip("/") in (spec.rstrip("/"), _get_url(spec)):
            return spec
        if _normalize(_get_package_name(spec)) == _normalize(package):
            return spec
    return None


def _get_url(spec: str) -> str | None:
    if spec.startswith("/"):
        return Path(spec).as_uri()
    return spec.partition("@")[2].strip().rstrip("/") or None


def _get_package_name(spec: str) -> str:
    """Return the package that a requirement names; of a path or URL, its last part."""
    if re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[|[<>=!~;@]|$)", spec):
        return re.split(r"[\s\[<>=!~;@]", spec)[0]
    name = spec.split("#")[0].rstrip("/").rpartition("/")[2]
    return re.split(r"-\d|@|\.git|\.zip|\.tar", name)[0]


def add(host: HostReader, paths: Paths, spec: str, options: Sequence[str]) -> int:
    """Install a plugin, with its actions at an installation; return the exit code.

    The installed bootstrap does it: it builds the next hub environment with the plugin, whose
    Python then runs the plugin's hooks.
    """
    own = Candidate(__version__, paths.hub_files.bootstrap)
    return run_bootstrap(host, paths, own, "--plugin", locate(spec), *options)


def locate(spec: str) -> str:
    """Return the requirement with the whole path of a directory or file of this machine."""
    is_path = spec.startswith((".", "/")) or Path(spec).is_dir() or spec.endswith(".whl")
    return str(Path(spec).resolve()) if is_path else spec


def plan_removal(host: Host, paths: Paths, name: str) -> Plan:
    """Return what removing a plugin would change."""
    return work_out(host, paths, _make_removal(host, paths, name)).plan


def remove(host: Host, paths: Paths, name: str, progress: Progress) -> Outcome:
    """Remove a plugin, and what it brought; on failure roll back and raise TljhError."""
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    _, names = _find_plugin(host, paths, config, name)
    environment = find_hub_environment(host, paths)
    failures = call_event(host, paths, "tljh_before_removal", {}, only=names)
    outcome = converge(host, paths, _make_removal(host, paths, name), progress)
    # The environment with the plugin stays for a while, for a rollback.
    failures += call_event(
        host, paths, "tljh_after_removal", {}, environment=environment, only=names
    )
    warnings = (*outcome.warnings, *(failure.finding for failure in failures))
    return replace(outcome, warnings=warnings)


def _make_removal(host: Host, paths: Paths, name: str) -> Request:
    """Return the request that removes a plugin, given its name, its package or its requirement."""
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    spec, names = _find_plugin(host, paths, config, name)
    written = read_written(host, paths)
    sections = {
        *list_sections(host, find_hub_environment(host, paths), names),
        *(section for name in names if name in written for section in written[name].sections),
    }

    def edit(text: str) -> str:
        for path, items in ((PACKAGES, {spec}), (REQUIRED, names)):
            for item in items:
                values = read_value_at(text, path)
                if isinstance(values, list) and item in values:
                    text = remove_item(text, path, values.index(item))
        for section in sorted(sections):
            allowed = read_value_at(text, ALLOWED_SECTIONS)
            if isinstance(allowed, list) and section in allowed:
                text = remove_item(text, ALLOWED_SECTIONS, allowed.index(section))
            if read_value_at(text, (section,)) is not MISSING:
                text = unset_value(text, (section,))
        return text

    return replace(
        make_reload_request(host, paths, f"plugin remove {name}"),
        configuration=edit_configuration(host, paths, edit, key_path=("plugins",)),
    )


def _find_plugin(
    host: HostReader, paths: Paths, config: Config, name: str
) -> tuple[str, frozenset[str]]:
    """Return the item of plugins.packages for a plugin, and the names of the package's plugins.

    Raises TljhError if there is none.
    """
    installed = list_plugins(host, paths)
    named = [
        plugin
        for plugin in installed
        if name in (plugin.name, plugin.spec) or _normalize(name) == _normalize(plugin.package)
    ]
    specs = [plugin.spec for plugin in named if plugin.spec is not None]
    if not specs:
        # A plugin that could not be installed, or a path whose package has another name.
        specs = [
            spec
            for spec in config.plugins.packages
            if name == spec or _normalize(_get_package_name(spec)) == _normalize(name)
        ]
    if specs:
        packages = {plugin.package for plugin in named}
        return specs[0], frozenset(p.name for p in installed if p.package in packages)
    if named:
        package = named[0].package
        raise TljhError(
            f"plugin {name} was not added by tljh",
            why=f"the package {package} is not in plugins.packages",
            fix=f"sudo {quote(str(paths.hub_files.python))} -m pip uninstall {quote(package)}; "
            "or, if another item of plugins.packages brings it, remove that item: "
            "sudo tljh-config get plugins.packages",
        )
    names = ", ".join(plugin.name for plugin in installed) or "none"
    raise TljhError(
        f"there is no plugin {name}",
        why=f"the installed plugins are: {names}",
        fix="list them: sudo tljh plugin list",
    )
