"""Loading of the applied configuration, plugins and drop-ins into JupyterHub's `c`."""

from __future__ import annotations

import json
import os
import shlex
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pluggy import PluginManager
from traitlets import TraitError
from traitlets.config import Config as TraitletsConfig
from traitlets.config.loader import LazyConfigValue

from tljh.base.errors import Place, TljhError
from tljh.base.paths import AppliedFiles, Paths, paths_from_environment
from tljh.hub.process import builtin_firstuse, builtin_native
from tljh.hub.process.authenticator_choice import chosen_authenticator
from tljh.hub.trait_layers import USER_LISTS, Emptied, Traits, overlay
from tljh.plugins.manager import call, load_plugins
from tljh.settings.login_providers import admits_all, provider_of

BUILT_IN_PLUGINS = (builtin_firstuse, builtin_native)


CONFIG_HOOK = "tljh_custom_jupyterhub_config"


@lru_cache(maxsize=1)
def hub_plugins() -> PluginManager:
    """Load the built-in plugins of the hub process and all installed ones, once a process."""
    return load_plugins(BUILT_IN_PLUGINS)


def applied_files(paths: Paths) -> AppliedFiles:
    """Return what this process loads: a candidate if `TLJH_APPLIED` names its directory."""
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


def applied_drop_ins(paths: Paths) -> list[DropIn]:
    """Return the admins' Python files, in the order in which they run."""
    copies = applied_files(paths).drop_ins
    return [DropIn(copy, paths.hub_drop_ins / copy.name) for copy in sorted(copies.glob("*.py"))]


@dataclass(frozen=True)
class Loaded:
    """The traits before plugins and drop-ins changed them, and what those emptied."""

    ours: Traits
    emptied: tuple[Emptied, ...]


def apply_to(c: Any, paths: Paths | None = None) -> Loaded:
    """Fill `c` with the applied traits, then let plugins and drop-ins change it.

    Drop-ins run in the order of their names. Raises TljhError with the file and line of a drop-in,
    or with the name of a plugin, whose code failed.
    """
    paths = paths or paths_from_environment()
    for name, values in json.loads(applied_files(paths).hub_file.read_text()).items():
        for trait, value in values.items():
            c[name][trait] = _as_loaded(trait, resolved(value))
    if paths.api_secret.is_file() and "traefik_api_password" not in c.TraefikProxy:
        c.TraefikProxy.traefik_api_password = paths.api_secret.read_text().strip()
    # After the password: whatever differs from this copy counts as a plugin's or a drop-in's.
    ours = {name: deepcopy(dict(c[name])) for name in c}
    configured, allow_all = _authenticator(c), c.Authenticator.get("allow_all")
    call(hub_plugins(), CONFIG_HOOK, c=c)
    for drop_in in applied_drop_ins(paths):
        run_drop_in(drop_in, c)
    # Again: an installed plugin or a drop-in may choose a class that a built-in plugin replaces.
    call(hub_plugins(), CONFIG_HOOK, only=BUILT_IN_PLUGINS, c=c)
    emptied = lay_over(c, ours)
    chosen = _authenticator(c)
    if chosen != configured and c.Authenticator.get("allow_all") is allow_all:
        _set_allow_all(c, chosen)
    _add_service(c, paths)
    return Loaded(ours, tuple(emptied))


def _as_loaded(trait: str, value: Any) -> Any:
    """Return the value of a trait; a list of users becomes a set, as existing drop-ins expect."""
    return set(value) if trait in USER_LISTS and isinstance(value, list) else value


def lay_over(c: Any, ours: Traits) -> list[Emptied]:
    """Lay what plugins and drop-ins gave for our lists and maps over ours, in `c`.

    Returns what they emptied.
    """
    theirs: Traits = {}
    for section in c:
        for trait, value in dict(c[section]).items():
            if isinstance(value, LazyConfigValue):
                # `c.Spawner.environment.update(…)` before any value: kept as edits of a value.
                # A copy, because it remembers the value that it is first computed for.
                value = deepcopy(value).get_value(_default_of(value))
            if value != ours.get(section, {}).get(trait):
                theirs.setdefault(section, {})[trait] = value
    merged, emptied = overlay(ours, theirs)
    for section, values in merged.items():
        for trait, value in values.items():
            c[section][trait] = value
    return emptied


def _default_of(value: LazyConfigValue) -> Any:
    edits = value.to_dict()
    if "update" in edits:
        return {} if isinstance(edits["update"], dict) else set()
    return []


def _authenticator(c: Any) -> Any:
    """Return the authenticator class, or its name in `c` if it cannot be loaded."""
    try:
        return chosen_authenticator(c)
    except (TraitError, ImportError):
        return c.JupyterHub.get("authenticator_class")


def _set_allow_all(c: Any, authenticator: Any) -> None:
    """Set `allow_all` to the default of the authenticator that a plugin or drop-in chose.

    The value in `c` was meant for the authenticator in config.yaml.
    """
    bases = getattr(authenticator, "__mro__", ())
    provider = next(filter(None, (provider_of(base.__name__) for base in bases)), None)
    if provider is None:
        c.Authenticator.pop("allow_all", None)
    else:
        has_list = bool(c.Authenticator.get("allowed_users"))
        c.Authenticator.allow_all = admits_all(provider, has_list=has_list)


def _add_service(c: Any, paths: Paths) -> None:
    """Add the service with which tljh's commands manage users.

    This comes last, because a drop-in may replace the list of services.
    """
    token = paths.hub_token
    if not token.is_file():
        return
    from tljh.hub.api_client import ROLE, SCOPES, SERVICE

    c.JupyterHub.services.append({"name": SERVICE, "api_token": token.read_text().strip()})
    c.JupyterHub.load_roles.append({"name": ROLE, "scopes": list(SCOPES), "services": [SERVICE]})


def resolved(value: Any) -> Any:
    """Return `value` with every `{file: PATH}` in it replaced by the content of that file."""
    if isinstance(value, dict):
        if set(value) == {"file"} and isinstance(value["file"], str):
            return Path(value["file"]).read_text().strip()
        return {key: resolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item) for item in value]
    return value


def run_drop_in(drop_in: DropIn, c: Any) -> None:
    """Run a drop-in as JupyterHub runs a configuration file.

    Raises TljhError with the line where it failed.
    """

    def load_subconfig(name: str, path: str | None = None) -> None:
        run_drop_in(_next_to(drop_in, Path(path or drop_in.path.parent) / name), c)

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
            where=Place(str(path), _line_in(path, error)),
            fix=_fix_of(error),
        ) from error


def _fix_of(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0].replace("_", "-")
        if package != "tljh":
            return (
                "if a package brings it: "
                f"sudo tljh-config add-item hub.packages {shlex.quote(package)}"
            )
    return "correct the line, or move the file away"


def _next_to(drop_in: DropIn, path: Path) -> DropIn:
    """Return the file that a drop-in loads: the applied copy if it is in the same directory."""
    own = drop_in.path.parent
    if not path.is_relative_to(own):
        return DropIn(path, path)
    return DropIn(drop_in.copy.parent / path.relative_to(own), path)


def _line_in(path: Path, error: Exception) -> int | None:
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def new_configuration(paths: Paths) -> TraitletsConfig:
    """Return the whole configuration in a new object."""
    c = TraitletsConfig()
    apply_to(c, paths)
    return c
