"""Loading of the applied configuration, plugins and drop-ins into JupyterHub's `c`."""

from __future__ import annotations

import errno
import json
import os
import shlex
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pluggy import PluginManager
from traitlets import TraitError
from traitlets.config import Config as TraitletsConfig
from traitlets.config.loader import LazyConfigValue

from tljh.base.errors import Place, TljhError
from tljh.base.path_groups import AppliedFiles
from tljh.base.paths import Paths, get_paths
from tljh.base.well_known import LAUNCH_SCOPE, LAUNCHER, TEMPORARY_GROUP
from tljh.hub.drop_in_changes import Changes, describe_traits, restore_sections
from tljh.hub.process import builtin_firstuse, builtin_native
from tljh.hub.process.authenticator_choice import choose_authenticator
from tljh.hub.trait_layers import EmptiedTrait, Traits, lay_over_traits
from tljh.plugins.guard import PluginError
from tljh.plugins.manager import (
    PluginFailure,
    call,
    call_implementation,
    load_plugins,
)
from tljh.plugins.selection import PluginSelection, parse_names, parse_selection
from tljh.settings.login_providers import admits_all, find_provider
from tljh.users.user_lists import USER_LISTS, combine_user_lists, rename_old_lists

BUILT_IN_PLUGINS = (builtin_firstuse, builtin_native)


METRICS_SERVICE = "tljh-metrics"


CONFIG_HOOK = "tljh_custom_jupyterhub_config"


# The hub does not answer while a plugin hangs at its start.
CONFIG_TIMEOUT_S = 20.0


@lru_cache(maxsize=1)
def _load_plugins() -> tuple[PluginManager, tuple[PluginFailure, ...]]:
    failures: list[PluginFailure] = []
    left_out = read_selection(get_paths()).left_out
    manager = load_plugins(
        BUILT_IN_PLUGINS, left_out=left_out, failures=failures, timeout_s=CONFIG_TIMEOUT_S
    )
    return manager, tuple(failures)


def load_hub_plugins() -> PluginManager:
    """Load the built-in plugins of the hub process and the installed ones, once a process.

    Those that are left out, and those that cannot be loaded, are missing.
    """
    return _load_plugins()[0]


def read_selection(paths: Paths) -> PluginSelection:
    """Return which plugins this hub process loads, as it was applied."""
    file = choose_applied_files(paths).plugins
    return parse_selection(file.read_bytes() if file.is_file() else None)


def choose_applied_files(paths: Paths) -> AppliedFiles:
    """Return the files that this hub process loads: those that were last applied.

    A candidate is loaded instead if `TLJH_APPLIED` names its directory.
    """
    candidate = os.environ.get("TLJH_APPLIED")
    return AppliedFiles(Path(candidate)) if candidate else paths.applied


@dataclass(frozen=True)
class DropIn:
    """The applied copy of a drop-in, and the admin's path of it, for messages and `__file__`.

    In the hub's unit the applied copies are mounted at the admin's directory. So a drop-in that
    reads a file next to `__file__` gets the applied one, whatever the admin has edited since.
    """

    copy: Path
    path: Path

    @property
    def text(self) -> str:
        return self.copy.read_text(errors="replace")


def read_applied_drop_ins(paths: Paths) -> list[DropIn]:
    """Return the admins' Python drop-ins as last applied, in the order in which they run."""
    copies = choose_applied_files(paths).drop_ins
    return [DropIn(copy, paths.hub_drop_ins / copy.name) for copy in sorted(copies.glob("*.py"))]


@dataclass(frozen=True)
class BaseTraits:
    """The traits before plugins and drop-ins changed them, and what those emptied.

    `failures` are the plugins that failed; `c` has no change of theirs. `login_plugins` are those
    that chose the authenticator. `changes` has the drop-in that changed each `Section.trait`.
    """

    ours: Traits
    emptied: tuple[EmptiedTrait, ...]
    failures: tuple[PluginFailure, ...] = ()
    login_plugins: tuple[str, ...] = ()
    changes: Changes = field(default_factory=dict)


def apply_to(
    c: Any, paths: Paths | None = None, *, without: frozenset[str] = frozenset()
) -> BaseTraits:
    """Fill `c` with the applied traits, then let plugins and drop-ins change it.

    Drop-ins run in the order of their names. `without` are plugins whose hook is not called. Raises
    TljhError with the file and line of a drop-in, or of a required plugin, whose code failed.
    """
    paths = paths or get_paths()
    for name, values in json.loads(choose_applied_files(paths).hub_file.read_text()).items():
        for trait, value in values.items():
            c[name][trait] = _convert_to_loaded(trait, resolve_lazy(value))
    if paths.api_secret.is_file() and "traefik_api_password" not in c.TraefikProxy:
        c.TraefikProxy.traefik_api_password = paths.api_secret.read_text().strip()
    # After the password: whatever differs from this copy counts as a plugin's or a drop-in's.
    ours = {name: deepcopy(dict(c[name])) for name in c}
    configured, allow_all = _get_authenticator(c), c.Authenticator.get("allow_all")
    failures, login_plugins = _call_config_hooks(c, read_required(paths), without)
    changes: dict[str, Path] = {}
    for drop_in in read_applied_drop_ins(paths):
        before, sections = describe_traits(c), dict(c)
        run_drop_in(drop_in, c)
        restore_sections(c, sections)
        after = describe_traits(c)
        changes |= {key: drop_in.path for key in after if after[key] != before.get(key)}
    # Again: an installed plugin or a drop-in may choose a class that a built-in plugin replaces.
    call(load_hub_plugins(), CONFIG_HOOK, only=BUILT_IN_PLUGINS, c=c)
    emptied = lay_over(c, ours)
    chosen = _get_authenticator(c)
    if chosen != configured and c.Authenticator.get("allow_all") is allow_all:
        _set_allow_all(c, chosen)
    _add_services(c, paths)
    return BaseTraits(ours, tuple(emptied), tuple(failures), tuple(login_plugins), changes)


def read_required(paths: Paths) -> frozenset[str]:
    """Return the plugins without which this hub must not start.

    Without the plugin that chose the way to log in, the hub would let in other users.
    """
    file = paths.login_plugins
    names = parse_names(file.read_bytes() if file.is_file() else None)
    return names.union(read_selection(paths).required)


def _call_config_hooks(
    c: Any, required: frozenset[str], without: frozenset[str]
) -> tuple[list[PluginFailure], list[str]]:
    """Let each plugin change `c`; return those that failed, and those that chose a login.

    The changes of a plugin that failed are dropped. Raises PluginError where a required one fails.
    """
    login_plugins: list[str] = []
    manager = load_hub_plugins()
    failures = list(_load_plugins()[1])
    for implementation in getattr(manager.hook, CONFIG_HOOK).get_hookimpls():
        if implementation.plugin_name in without:
            continue
        before = deepcopy(c)
        try:
            call_implementation(implementation, CONFIG_HOOK, CONFIG_TIMEOUT_S, c=c)
            is_ours = implementation.plugin in BUILT_IN_PLUGINS
            if not is_ours and _get_login(c) != _get_login(before):
                login_plugins.append(implementation.plugin_name)
        except PluginError as error:
            failures.append(PluginFailure(error.plugin, error.finding))
            dict.clear(c)
            dict.update(c, before)
    for failure in failures:
        if failure.plugin in required:
            raise PluginError(failure.plugin, failure.finding)
    return failures, login_plugins


def _get_login(c: Any) -> Any:
    return c.JupyterHub.get("authenticator_class") if "JupyterHub" in c else None


def _convert_to_loaded(trait: str, value: Any) -> Any:
    """Return the value of a trait; a list of users becomes a set, as existing drop-ins expect."""
    return set(value) if trait in USER_LISTS and isinstance(value, list) else value


def lay_over(c: Any, ours: Traits) -> list[EmptiedTrait]:
    """Merge lists and maps that plugins and drop-ins set in `c` with tljh's own.

    Returns those of tljh's that were emptied.
    """
    theirs: Traits = {}
    for section, traits in rename_old_lists({name: dict(c[name]) for name in c}).items():
        dict.clear(c[section])
        dict.update(c[section], traits)
    for section in c:
        for trait, value in dict(c[section]).items():
            if isinstance(value, LazyConfigValue):
                # `c.Spawner.environment.update(…)` before any value: kept as edits of a value.
                # A copy, because it remembers the value that it is first computed for.
                value = deepcopy(value).get_value(_get_default(value))
            if value != ours.get(section, {}).get(trait):
                theirs.setdefault(section, {})[trait] = value
    merged, emptied = lay_over_traits(ours, theirs)
    lists, emptied_lists = combine_user_lists([ours, theirs], _list_login_classes(c))
    for section, values in (*merged.items(), *lists.items()):
        for trait, value in values.items():
            c[section][trait] = value
    return [*emptied, *(EmptiedTrait(*each) for each in emptied_lists)]


def _list_login_classes(c: Any) -> list[str]:
    """Return the names of the authenticator's classes, bases first."""
    return [base.__name__ for base in reversed(getattr(_get_authenticator(c), "__mro__", ()))]


def _get_default(value: LazyConfigValue) -> Any:
    edits = value.to_dict()
    if "update" in edits:
        return {} if isinstance(edits["update"], dict) else set()
    return []


def _get_authenticator(c: Any) -> Any:
    """Return the authenticator class, or its name in `c` if it cannot be loaded."""
    try:
        return choose_authenticator(c)
    except (TraitError, ImportError):
        return c.JupyterHub.get("authenticator_class")


def _set_allow_all(c: Any, authenticator: Any) -> None:
    """Set `allow_all` to the default of the authenticator that a plugin or drop-in chose.

    The value in `c` was meant for the authenticator in config.yaml.
    """
    bases = getattr(authenticator, "__mro__", ())
    provider = next(filter(None, (find_provider(base.__name__) for base in bases)), None)
    if provider is None:
        c.Authenticator.pop("allow_all", None)
    else:
        has_list = bool(c.Authenticator.get("allowed_users"))
        c.Authenticator.allow_all = admits_all(provider, has_list=has_list)


def _add_services(c: Any, paths: Paths) -> None:
    """Add tokens of services in config.yaml, and the services of tljh's commands and Prometheus.

    This comes last, because a drop-in may replace the list of services.
    """
    from tljh.hub.api_client import ROLE, SCOPES, SERVICE

    services = c.JupyterHub.services
    declared = list(services) if isinstance(services, list) else []
    for service in declared:
        # A new one has no file before it is applied.
        token = paths.service_token(str(service.get("name")))
        if "api_token" not in service and token.is_file():
            service["api_token"] = token.read_text().strip()
    for token, name, role, scopes in (
        (paths.hub_token, SERVICE, ROLE, SCOPES),
        (paths.metrics_token, METRICS_SERVICE, METRICS_SERVICE, ("read:metrics",)),
        *_list_launchers(c, paths),
    ):
        # The launcher may be a service of config.yaml, with its own token.
        is_declared = any(service.get("name") == name for service in declared)
        if token.is_file() and not is_declared:
            c.JupyterHub.services.append({"name": name, "api_token": token.read_text().strip()})
        if token.is_file() or is_declared:
            c.JupyterHub.load_roles.append(
                {"name": role, "scopes": list(scopes), "services": [name]}
            )


def _list_launchers(c: Any, paths: Paths) -> list[tuple[Path, str, str, tuple[str, ...]]]:
    """Return the service account of `launch` with its role; none while it is off.

    Its scopes reach temporary users only.
    """
    if not c.TljhHub.get("launch", {}).get("enabled"):
        return []
    c.JupyterHub.custom_scopes = {
        **c.JupyterHub.get("custom_scopes", {}),
        LAUNCH_SCOPE: {"description": "Make temporary users."},
    }
    rights = ("start:servers", "read:servers", "delete:servers", "delete:users", "tokens")
    scopes = (LAUNCH_SCOPE, *(f"{right}!group={TEMPORARY_GROUP}" for right in rights))
    return [(paths.launcher_token, LAUNCHER, LAUNCHER, scopes)]


def resolve_lazy(value: Any) -> Any:
    """Return `value` with every `{file: PATH}` in it replaced by the content of that file."""
    if isinstance(value, dict):
        if set(value) == {"file"} and isinstance(value["file"], str):
            return Path(value["file"]).read_text().strip()
        return {key: resolve_lazy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve_lazy(item) for item in value]
    return value


def run_drop_in(drop_in: DropIn, c: Any) -> None:
    """Run a drop-in as JupyterHub runs a configuration file.

    Raises TljhError with the line where it failed.
    """

    def load_subconfig(name: str, path: str | None = None) -> None:
        run_drop_in(_resolve_copy(drop_in, Path(path or drop_in.path.parent) / name), c)

    path = drop_in.path
    namespace = {
        "c": c,
        "get_config": lambda: c,
        "load_subconfig": load_subconfig,
        "__file__": str(path),
        "__name__": "jupyterhub_config",
    }
    try:
        exec(compile(drop_in.copy.read_bytes(), str(path), "exec"), namespace)
    except SyntaxError as error:
        raise TljhError(
            f"{path.name} is not valid Python: {error.msg}",
            where=Place(str(path), error.lineno, error.offset),
            fix="correct the line",
        ) from error
    except TljhError:
        # Of a drop-in that this one loads: it names the file and line already.
        raise
    except Exception as error:
        raise TljhError(
            f"{path.name} failed: {type(error).__name__}: {error}",
            where=Place(str(path), _find_line(path, error)),
            fix=_suggest_fix(error),
        ) from error


def _suggest_fix(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0].replace("_", "-")
        if package != "tljh":
            return (
                "if a package brings it: "
                f"sudo tljh-config add-item hub.packages {shlex.quote(package)}"
            )
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return (
            "the hub reads the directory of drop-ins as it was applied, so it is read-only: "
            "write to another one, such as /var/lib/jupyterhub"
        )
    return "correct the line, or move the file away"


def _resolve_copy(drop_in: DropIn, path: Path) -> DropIn:
    """Return the file to run when a drop-in loads `path`.

    In the drop-ins' own directory it is the applied copy: the original may have been edited since.
    """
    own = drop_in.path.parent
    if not path.is_relative_to(own):
        return DropIn(path, path)
    return DropIn(drop_in.copy.parent / path.relative_to(own), path)


def _find_line(path: Path, error: Exception) -> int | None:
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def make_configuration(paths: Paths) -> TraitletsConfig:
    """Load the whole configuration of the hub into a new object."""
    c = TraitletsConfig()
    apply_to(c, paths)
    return c
