"""Loading plugins, calling their hooks, and what they contribute.

A plugin that fails is named with file and line (`PluginError`). Plugins are asked for what they
contribute in a process each (`tljh.plugins.inspection`), once for each hub environment.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from tljh.base.errors import Finding, Place
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import get_paths
from tljh.host.interface import Host, HostReader, Result
from tljh.plugins import hookspecs
from tljh.plugins.guard import PluginError, run_guarded, suggest_removal
from tljh.plugins.inspection import (
    ENTRY_POINTS,
    GRACE_S,
    PACKAGE_HOOKS,
    find_entry_points,
    register,
)

# The import of a plugin with its dependencies, or one of its hooks. Plugins may do slow work there
# (TLJH calls the hooks for packages at an installation only), and a machine may be slow.
TIMEOUT_S = 60.0
# tljh_post_install may install programs.
INSTALL_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class PluginFailure:
    """A plugin that is left out, and why."""

    plugin: str
    finding: Finding


@dataclass(frozen=True)
class Contributions:
    """Packages and channels that all plugins together ask for, and the plugins that do not work.

    `failures` could not be asked. `left_out` are plugins that the hub does not load: these, and
    those that failed in a trial whose inputs were `inputs`. `hooks` are the names of the hooks that
    each plugin has, `traefik_rules` its files for Traefik by their names.
    """

    conda_packages: tuple[str, ...] = ()
    conda_channels: tuple[str, ...] = ()
    user_pip_packages: tuple[str, ...] = ()
    hub_pip_packages: tuple[str, ...] = ()
    apt_packages: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    failures: tuple[PluginFailure, ...] = ()
    warnings: tuple[Finding, ...] = ()
    hooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    traefik_rules: Mapping[str, bytes] = field(default_factory=dict)
    left_out: Mapping[str, Finding] = field(default_factory=dict)
    inputs: str = ""


@dataclass(frozen=True)
class InstalledPlugin:
    """An entry point of a hub environment; `distribution` is its package, like `tljh_course-0.1`.

    `metadata` is the directory with the package's metadata.
    """

    name: str
    module: str
    distribution: str
    metadata: Path


@lru_cache(maxsize=1)
def _load_once() -> pluggy.PluginManager:
    return load_plugins(failures=[])


_replacements: list[pluggy.PluginManager] = []


def load_installed_plugins() -> pluggy.PluginManager:
    """Load all plugins of this hub environment that work, once a process."""
    return _replacements[-1] if _replacements else _load_once()


@contextlib.contextmanager
def replaced_plugins(manager: pluggy.PluginManager) -> Iterator[None]:
    """Take these plugins for the installed ones during the block, in a plugin's tests."""
    _replacements.append(manager)
    try:
        yield
    finally:
        _replacements.pop()


def load_plugins(
    built_in: Iterable[ModuleType] = (),
    *,
    left_out: Container[str] = (),
    failures: list[PluginFailure] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> pluggy.PluginManager:
    """Register the built-in plugins, then load those that are installed as entry points.

    The built-in ones come first, so that an installed plugin can change what they have set.
    `left_out` are plugins that are not loaded. Those that cannot be loaded are added to `failures`;
    without that list, the first one raises PluginError.
    """
    manager = pluggy.PluginManager("tljh")
    manager.add_hookspecs(hookspecs)
    for plugin in built_in:
        manager.register(plugin)
    for entry_point, _ in find_entry_points():
        if entry_point.name in left_out or manager.has_plugin(entry_point.name):
            continue
        try:
            register(manager, entry_point, timeout_s)
        except PluginError as error:
            if failures is None:
                raise
            failures.append(PluginFailure(error.plugin, error.finding))
    return manager


def list_plugins(manager: pluggy.PluginManager | None = None) -> list[str]:
    manager = manager or load_installed_plugins()
    return sorted(name for name, plugin in manager.list_name_plugin() if plugin is not None)


def call(
    manager: pluggy.PluginManager,
    hook: str,
    *,
    only: Container[ModuleType] | None = None,
    failures: list[PluginFailure] | None = None,
    timeout_s: float = TIMEOUT_S,
    **arguments: Any,
) -> list[Any]:
    """Call a hook of every plugin, in order of registration, and return the results.

    With `only`, the other plugins are left out. A plugin whose code fails is added to `failures`;
    without that list, the first one raises PluginError.
    """
    results = []
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if only is not None and implementation.plugin not in only:
            continue
        try:
            result = call_implementation(implementation, hook, timeout_s, **arguments)
        except PluginError as error:
            if failures is None:
                raise
            failures.append(PluginFailure(error.plugin, error.finding))
            continue
        if result is not None:
            results.append(result)
    return results


def call_implementation(
    implementation: pluggy.HookImpl, hook: str, timeout_s: float = TIMEOUT_S, **arguments: Any
) -> Any:
    """Call one plugin's function for a hook. Raises PluginError where its code fails.

    pluggy's own call would raise the bare exception, without the plugin's name.
    """
    accepted = {name: arguments[name] for name in implementation.argnames}
    return run_guarded(
        implementation.plugin_name,
        f"in {hook}",
        lambda: implementation.function(**accepted),
        timeout_s=timeout_s,
    )


def read_contributions(host: HostReader, environment: Path) -> Contributions:
    """Return the contributions of a hub environment's plugins, and those that do not work.

    They are recorded when the environment is built. Without a record of the installed plugins, or
    where files of a failed one changed, the plugins are asked.
    """
    return _combine(_read_answers(host, environment))


def record_contributions(host: Host, environment: Path) -> Contributions:
    """Return the contributions of an environment's plugins; record them if they are not yet."""
    answers = _read_answers(host, environment)
    file = HubEnvironmentFiles(environment).contributions
    for earlier in (file, HubEnvironmentFiles(get_paths().hub).contributions):
        _keep_sections(answers, host.read(earlier))
    record = {"state": _compute_state(host, environment, answers), "plugins": answers}
    data = json.dumps(record, indent=1).encode() + b"\n"
    if host.read(file) != data:
        for directory in (file.parent.parent, file.parent):
            if host.info(directory) is None:
                host.mkdir(directory, mode=0o755)
        host.write(file, data, mode=0o644)
    return _combine(answers)


Answers = dict[str, dict[str, Any]]


def _keep_sections(answers: Answers, earlier: bytes | None) -> None:
    """Give plugins that fail the sections that they declared when they worked.

    Without them, the admin's settings of such a plugin would be mistakes in config.yaml.
    """
    try:
        plugins = json.loads(earlier or b"{}").get("plugins", {})
        for name, answer in answers.items():
            if "failure" in answer and plugins.get(name, {}).get("settings"):
                answer.setdefault("settings", plugins[name]["settings"])
    except (ValueError, AttributeError):
        return


def _read_answers(host: HostReader, environment: Path) -> Answers:
    """Return what each plugin contributes, by its name: from the record, or asked."""
    recorded = _read_record(host, environment)
    if recorded is not None:
        return recorded
    return {
        plugin.name: _ask(host, environment, plugin) for plugin in list_installed(host, environment)
    }


def _ask(host: HostReader, environment: Path, plugin: InstalledPlugin) -> dict[str, Any]:
    python = HubEnvironmentFiles(environment).python
    argv = [str(python), "-I", "-m", "tljh.plugins.inspection", plugin.name, f"{TIMEOUT_S:g}"]
    # An import and every hook have this time each.
    longest_s = (len(PACKAGE_HOOKS) + 1) * TIMEOUT_S + GRACE_S
    result = host.query(argv, timeout_s=longest_s)
    try:
        answer: dict[str, Any] = json.loads(result.out.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return {"failure": _describe_death(plugin, result).as_json()}
    return answer


def ask_hook(
    host: HostReader,
    environment: Path,
    plugins: Contributions,
    hook: str,
    arguments: Mapping[str, Any],
    *,
    timeout_s: float = TIMEOUT_S,
) -> tuple[dict[str, Any], list[PluginFailure]]:
    """Call a hook of every plugin that has it, each in another process.

    Returns the answers by the plugins' names, and the plugins that failed. Those that are left out
    are not called.
    """
    answers: dict[str, Any] = {}
    failures: list[PluginFailure] = []
    names = {plugin.name: plugin for plugin in list_installed(host, environment)}
    for name, hooks in plugins.hooks.items():
        if hook not in hooks or name in plugins.left_out or name not in names:
            continue
        python = HubEnvironmentFiles(environment).python
        argv = [str(python), "-I", "-m", "tljh.plugins.inspection", name, f"{timeout_s:g}", hook]
        # The import has this time, too.
        longest_s = 2 * (timeout_s + GRACE_S)
        result = host.query(argv, timeout_s=longest_s, stdin=json.dumps(arguments, default=str))
        try:
            answer = json.loads(result.out.strip().splitlines()[-1])
        except (ValueError, IndexError):
            answer = {"failure": _describe_death(names[name], result).as_json()}
        if "failure" in answer:
            failures.append(PluginFailure(name, Finding.from_json(answer["failure"])))
        else:
            answers[name] = answer["answer"]
    return answers, failures


_STACK_LINE = re.compile(r'File "(?P<path>[^"<]+)", line (?P<line>\d+)')


def _describe_death(plugin: InstalledPlugin, result: Result) -> Finding:
    """Return the finding for a plugin that ended the process which asked it, or did not let it end.

    Python's fault handler has printed the stack, innermost line first.
    """
    package = plugin.module.partition(".")[0]
    places = [
        Place(match["path"], int(match["line"])) for match in _STACK_LINE.finditer(result.err)
    ]
    place = next((p for p in places if f"/{package}/" in p.path or f"/{package}." in p.path), None)
    is_timeout = "Timeout (" in result.err
    what = "hangs" if is_timeout else "ends the process that asks it"
    return Finding(
        f"plugin {plugin.name} {what}",
        place or Place(str(plugin.metadata / "entry_points.txt")),
        None if places else (result.err.strip()[-500:] or f"exit code {result.code}"),
        suggest_removal(plugin.name),
    )


def list_apt_packages(host: HostReader, environment: Path) -> dict[str, list[str]]:
    """Return the Debian packages that each plugin of an environment asked for."""
    data = host.read(HubEnvironmentFiles(environment).contributions)
    try:
        plugins = json.loads(data or b"{}").get("plugins", {})
        return {name: list(answer.get("apt_packages", ())) for name, answer in plugins.items()}
    except (ValueError, AttributeError):
        return {}


def list_sections(host: HostReader, environment: Path, names: Container[str]) -> list[str]:
    """Return the sections of config.yaml that these plugins declared."""
    data = host.read(HubEnvironmentFiles(environment).contributions)
    try:
        plugins = json.loads(data or b"{}").get("plugins", {})
        return [
            section
            for name, answer in plugins.items()
            if name in names
            for section in answer.get("settings") or ()
        ]
    except (ValueError, AttributeError):
        return []


def _combine(answers: Answers) -> Contributions:
    works = {name: answer for name, answer in answers.items() if "failure" not in answer}

    def collect(field: str) -> tuple[str, ...]:
        items = (item for answer in works.values() for item in answer.get(field, ()))
        return tuple(dict.fromkeys(items))

    return Contributions(
        conda_packages=collect("conda_packages"),
        conda_channels=collect("conda_channels"),
        user_pip_packages=collect("user_pip_packages"),
        hub_pip_packages=collect("hub_pip_packages"),
        apt_packages=collect("apt_packages"),
        plugins=tuple(works),
        hooks={name: tuple(answer.get("hooks", ())) for name, answer in works.items()},
        failures=tuple(
            PluginFailure(name, Finding.from_json(answer["failure"]))
            for name, answer in answers.items()
            if "failure" in answer
        ),
        warnings=tuple(
            Finding.from_json(item) for answer in works.values() for item in answer["warnings"]
        ),
    )


def _read_record(host: HostReader, environment: Path) -> Answers | None:
    """Return the record of the plugins that are installed; None where other ones were recorded.

    Admins may have installed a plugin by hand.
    """
    data = host.read(HubEnvironmentFiles(environment).contributions)
    try:
        record = json.loads(data or b"{}")
        answers: Answers = record["plugins"]
        if record["state"] == _compute_state(host, environment, answers):
            # A record of another release may lack a list.
            _combine(answers)
            return answers
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return None


def _compute_state(host: HostReader, environment: Path, answers: Answers) -> list[str]:
    """Return what answers depend on: the installed plugins, and all files of those that failed.

    A plugin that failed may work once its file was corrected or a package was added.
    """
    plugins = list_installed(host, environment)
    state = sorted({plugin.distribution for plugin in plugins})
    failed = [plugin for plugin in plugins if "failure" in answers.get(plugin.name, {})]
    return [*state, _compute_digest(host, failed)] if failed else state


def compute_code_digest(host: HostReader, environment: Path) -> str:
    """Return a digest of the modules of all installed plugins, and the names of all packages."""
    return _compute_digest(host, list_installed(host, environment))


def _compute_digest(host: HostReader, plugins: Iterable[InstalledPlugin]) -> str:
    digest = hashlib.sha256()
    for plugin in plugins:
        library = plugin.metadata.parent
        digest.update("\n".join(sorted(host.listdir(library))).encode())
        package = plugin.module.partition(".")[0]
        for path in (library / f"{package}.py", *_list_modules(host, library / package)):
            digest.update(host.read(path) or b"")
    return digest.hexdigest()


def _list_modules(host: HostReader, directory: Path) -> Iterator[Path]:
    for name in host.listdir(directory):
        if name.endswith(".py"):
            yield directory / name
        elif "." not in name and name != "__pycache__":
            yield from _list_modules(host, directory / name)


def list_installed(host: HostReader, environment: Path) -> list[InstalledPlugin]:
    """Return the plugins of a hub environment, read from the metadata of its packages."""
    lib = environment / "lib"
    libraries = [lib / name / "site-packages" for name in host.listdir(lib)]
    return [
        plugin
        for library in libraries
        for name in sorted(host.listdir(library))
        if name.endswith(".dist-info")
        for plugin in _read_entry_points(host, library / name)
    ]


def _read_entry_points(host: HostReader, metadata: Path) -> Iterator[InstalledPlugin]:
    text = (host.read(metadata / "entry_points.txt") or b"").decode(errors="replace")
    if f"[{ENTRY_POINTS}]" not in text:
        return
    parser = configparser.ConfigParser(delimiters="=", interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    for name, value in parser[ENTRY_POINTS].items():
        module = value.partition(":")[0].strip()
        yield InstalledPlugin(name, module, metadata.name.removesuffix(".dist-info"), metadata)
