"""Putting an applied configuration into JupyterHub's configuration object."""

from __future__ import annotations

import json
import os
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitlets import TraitError
from traitlets.config import Config as TraitletsConfig
from traitlets.config.loader import LazyConfigValue

from tljh.base.errors import Place, TljhError
from tljh.base.paths import (
    API_SECRET,
    DROP_INS,
    HUB_FILE,
    TOKEN_FILE,
    Paths,
    paths_from_environment,
)
from tljh.hub.process.authenticator_choice import chosen_authenticator
from tljh.hub.trait_layers import USER_LISTS, Emptied, Traits, overlay
from tljh.plugins.manager import call, installed_plugins
from tljh.settings.login_providers import lets_everybody_in, provider_of


def applied_directory(paths: Paths) -> Path:
    return Path(os.environ.get("TLJH_APPLIED") or paths.applied_dir)


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
    copies = applied_directory(paths) / DROP_INS
    return [DropIn(copy, paths.hub_drop_ins / copy.name) for copy in sorted(copies.glob("*.py"))]


@dataclass(frozen=True)
class Loaded:
    """What loading found out: the traits before plugins and drop-ins, and what they emptied."""

    ours: Traits
    emptied: tuple[Emptied, ...]


def apply_to(c: Any, paths: Paths | None = None) -> Loaded:
    """Fill `c`: our traits, what plugins change, and drop-ins in the order of their names.

    Raises TljhError that names the file and line, or the plugin, whose code failed.
    """
    paths = paths or paths_from_environment()
    applied = applied_directory(paths)
    for name, values in json.loads((applied / HUB_FILE).read_text()).items():
        for trait, value in values.items():
            c[name][trait] = _as_loaded(trait, resolved(value))
    secret = paths.state_dir / API_SECRET
    if secret.is_file() and "traefik_api_password" not in c.TraefikProxy:
        c.TraefikProxy.traefik_api_password = secret.read_text().strip()
    # After the password: whatever differs from this copy counts as a plugin's or a drop-in's.
    ours = {name: deepcopy(dict(c[name])) for name in c}
    chosen, allow_all = _authenticator(c), c.Authenticator.get("allow_all")
    call(installed_plugins(), "tljh_custom_jupyterhub_config", c=c)
    for drop_in in applied_drop_ins(paths):
        run_drop_in(drop_in, c)
    emptied = lay_over(c, ours)
    now = _authenticator(c)
    if now != chosen and c.Authenticator.get("allow_all") is allow_all:
        _let_in_by(c, now)
    _let_tljh_in(c, paths)
    return Loaded(ours, tuple(emptied))


def _as_loaded(trait: str, value: Any) -> Any:
    """Return a list of users as a set: existing drop-ins call `add` and `discard` on it."""
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
    """The class of the authenticator; what names it where that cannot be loaded."""
    try:
        return chosen_authenticator(c)
    except (TraitError, ImportError):
        return c.JupyterHub.get("authenticator_class")


def _let_in_by(c: Any, authenticator: Any) -> None:
    """Let in whom the class of a plugin or drop-in lets in: what we said was for another one."""
    bases = getattr(authenticator, "__mro__", ())
    provider = next(filter(None, (provider_of(base.__name__) for base in bases)), None)
    if provider is None:
        c.Authenticator.pop("allow_all", None)
    else:
        has_list = bool(c.Authenticator.get("allowed_users"))
        c.Authenticator.allow_all = lets_everybody_in(provider, has_list=has_list)


def _let_tljh_in(c: Any, paths: Paths) -> None:
    """Let this machine's own commands look after people; last, so that no drop-in loses it."""
    token = paths.state_dir / TOKEN_FILE
    if not token.is_file():
        return
    from tljh.hub.api_client import ROLE, SCOPES, SERVICE

    c.JupyterHub.services.append({"name": SERVICE, "api_token": token.read_text().strip()})
    c.JupyterHub.load_roles.append({"name": ROLE, "scopes": list(SCOPES), "services": [SERVICE]})


def resolved(value: Any) -> Any:
    """A value with every `{file: PATH}` replaced by the content of that file."""
    if isinstance(value, dict):
        if set(value) == {"file"} and isinstance(value["file"], str):
            return Path(value["file"]).read_text().strip()
        return {key: resolved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [resolved(item) for item in value]
    return value


def run_drop_in(drop_in: DropIn, c: Any) -> None:
    """Run one drop-in as JupyterHub runs a configuration file."""

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
            fix="correct the line, or move the file away",
        ) from error


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
    """The whole configuration in a fresh object."""
    c = TraitletsConfig()
    apply_to(c, paths)
    return c
