"""Events that plugins are called for: upgrades, removals, users who are removed; and questions."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.base.errors import Finding, TljhError
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.engine.backup_contents import BackupContents
from tljh.host.interface import HostReader
from tljh.operations.installed_config import find_hub_environment
from tljh.operations.plugin_contributions import dump_config
from tljh.plugins import declared
from tljh.plugins.checks import CheckedMachine, Result
from tljh.plugins.manager import Contributions, PluginFailure, ask_hook, read_contributions
from tljh.plugins.selection import parse_selection

if TYPE_CHECKING:
    from tljh.settings.root import Config

# A plugin may copy data, or ask a server.
EVENT_TIMEOUT_S = 600.0


def read_running_plugins(
    host: HostReader, paths: Paths, environment: Path | None = None
) -> Contributions:
    """Return the plugins of an environment without those that the hub leaves out."""
    plugins = read_contributions(host, environment or find_hub_environment(host, paths))
    selection = parse_selection(host.read(paths.applied.plugins))
    return replace(plugins, left_out=selection.left_out)


def call_event(
    host: HostReader,
    paths: Paths,
    hook: str,
    arguments: Mapping[str, Any],
    *,
    environment: Path | None = None,
    only: Container[str] | None = None,
) -> list[PluginFailure]:
    """Call a hook of every plugin for an event; return those that failed.

    `environment` is the hub environment whose plugins are called; by default, the current one.
    """
    environment = environment or find_hub_environment(host, paths)
    plugins = read_running_plugins(host, paths, environment)
    if only is not None:
        hooks = {name: each for name, each in plugins.hooks.items() if name in only}
        plugins = replace(plugins, hooks=hooks)
    _, failures = ask_hook(host, environment, plugins, hook, arguments, timeout_s=EVENT_TIMEOUT_S)
    return failures


def refuse_failed(failures: list[PluginFailure], required: Container[str]) -> None:
    """Raise TljhError if one of the plugins that failed is required."""
    findings = [failure.finding for failure in failures if failure.plugin in required]
    if findings:
        raise TljhError(findings)


def collect_backup_contents(host: HostReader, paths: Paths, config: Config) -> BackupContents:
    """Return the paths that plugins want in a backup. Raises TljhError where one cannot say.

    A backup without them would look complete.
    """
    environment = find_hub_environment(host, paths)
    plugins = read_running_plugins(host, paths)
    arguments = {"config": dump_config(config)}
    answers, failures = ask_hook(host, environment, plugins, "tljh_backup_paths", arguments)
    if failures:
        raise TljhError([failure.finding for failure in failures])
    trees: list[Path] = []
    for name, answer in answers.items():
        for text in answer or ():
            if not isinstance(text, str) or not text.startswith("/"):
                what = f"plugin {name} returns {text!r:.60} in tljh_backup_paths, not a whole path"
                raise TljhError([Finding(what)])
            if host.info(Path(text)) is not None:
                trees.append(Path(text))
    return BackupContents(trees=tuple(trees))


def check_by_plugins(subject: CheckedMachine) -> Iterator[Result]:
    """Yield what plugins find wrong on this machine; for `tljh doctor`."""
    if subject.config is None or not subject.is_installed:
        return
    host, paths = subject.host, subject.paths
    environment = find_hub_environment(host, paths)
    plugins = read_running_plugins(host, paths)
    arguments = {"config": dump_config(subject.config)}
    answers, failures = ask_hook(host, environment, plugins, "tljh_doctor_checks", arguments)
    for failure in failures:
        yield Severity.DEGRADED, failure.finding
    for name, answer in answers.items():
        try:
            results = declared.from_json(answer or ())
        except (TypeError, KeyError) as error:
            yield Severity.DEGRADED, Finding(f"plugin {name} failed in tljh_doctor_checks: {error}")
            continue
        for result in results:
            severity = Severity.BROKEN if result.is_broken else Severity.DEGRADED
            yield severity, Finding(f"{name}: {result.what}", None, result.why, result.fix)
