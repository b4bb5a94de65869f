"""Check the settings of Jupyter against what is installed in the user environment.

JupyterLab ignores a plugin or extension that it does not have, and does not load a plugin whose
defaults contradict its own schema. Neither is visible to an admin before users complain.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

from tljh.base.paths import Paths, get_paths
from tljh.host.interface import HostReader
from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.keys import find_nearest, format_key
from tljh.settings.root import Config

SETTINGS: KeyPath = ("user_environment", "jupyterlab", "settings")
EXTENSIONS: KeyPath = ("user_environment", "jupyterlab", "extensions")
MODULES: KeyPath = ("user_environment", "server_extensions")

_SEARCH_FIX = "sudo tljh env list names what is installed"


def find_jupyter_problems(
    config: Config, host: HostReader, paths: Paths | None = None
) -> Iterator[Problem]:
    """Yield a problem for each setting of Jupyter that has no effect or breaks a plugin.

    A value that is in effect already is only warned of: an update of JupyterLab may have changed
    what it accepts, and must not block every other change.
    """
    paths = paths or get_paths()
    settings = config.user_environment
    lab = settings.jupyterlab
    if not (lab.settings or lab.extensions or settings.server_extensions):
        return
    if host.info(paths.user / "conda-meta") is None:
        return
    yield from _find_setting_problems(lab.settings, host, paths)
    yield from _find_extension_problems(lab.extensions, host, paths)
    yield from _find_module_problems(settings.server_extensions, host, paths)


def _find_setting_problems(
    settings: dict[str, dict[str, Any]], host: HostReader, paths: Paths
) -> Iterator[Problem]:
    applied = _read_json(host, paths.lab_overrides)
    schemas: dict[str, Path] | None = None
    for plugin, values in settings.items():
        schemas = _find_schemas(host, paths.user) if schemas is None else schemas
        if plugin not in schemas:
            yield _unknown((*SETTINGS, plugin), "plugin of JupyterLab with settings", schemas)
            continue
        is_in_effect = applied.get(plugin) == values
        for problem in _compare_with_schema(plugin, values, _read_json(host, schemas[plugin])):
            yield replace(problem, severity="warning") if is_in_effect else problem


def _compare_with_schema(
    plugin: str, values: dict[str, Any], schema: dict[str, Any]
) -> Iterator[Problem]:
    """Yield a problem for each value that the plugin's own schema refuses."""
    # Imported here: it takes long, and most configurations need it for nothing.
    from jsonschema import Draft7Validator
    from jsonschema.exceptions import SchemaError, best_match

    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return
    for name, value in values.items():
        path = (*SETTINGS, plugin, name)
        if name not in properties:
            yield _unknown(path, f"setting of {plugin}", properties)
            continue
        # The whole schema stays around the property: it may refer to the schema's definitions.
        narrowed = {**schema, "properties": {name: properties[name]}}
        narrowed.pop("required", None)
        try:
            error = best_match(Draft7Validator(narrowed).iter_errors({name: value}))
        except (SchemaError, RecursionError):
            continue
        if error is not None:
            yield Problem(
                path,
                f"{plugin} does not accept {name}: {error.message}",
                why=f"its default is {json.dumps(properties[name].get('default'))}",
                fix=f"sudo tljh-config unset {quote(format_key((*SETTINGS, plugin)))}",
            )


def _find_extension_problems(
    extensions: dict[str, bool], host: HostReader, paths: Paths
) -> Iterator[Problem]:
    if not extensions:
        return
    packages = _list_lab_packages(host, paths.user)
    for name in extensions:
        if packages and name.partition(":")[0] not in packages:
            yield _unknown((*EXTENSIONS, name), "extension of JupyterLab", packages)


def _find_module_problems(
    modules: dict[str, bool], host: HostReader, paths: Paths
) -> Iterator[Problem]:
    if not modules:
        return
    installed = _list_modules(host, paths.user)
    for name in modules:
        if name.partition(".")[0] not in installed:
            yield _unknown((*MODULES, name), "Python module", installed)


def _unknown(path: KeyPath, what: str, candidates: dict[str, Any] | set[str]) -> Problem:
    name = str(path[-1])
    nearest = find_nearest(name, candidates)
    return Problem(
        path,
        f"no {what} is called {name} in the user environment",
        why="the setting has no effect until one is installed",
        fix=f"write {nearest}" if nearest else _SEARCH_FIX,
        severity="warning",
        at_key=True,
    )


def _find_schemas(host: HostReader, prefix: Path) -> dict[str, Path]:
    """Return the schema of each plugin's settings; those of installed extensions win."""
    lab = prefix / "share" / "jupyter" / "lab" / "schemas"
    schemas: dict[str, Path] = {}
    for name in _list_scoped(host, lab):
        schemas |= _list_schemas(host, lab, name)
    extensions = prefix / "share" / "jupyter" / "labextensions"
    for name in _list_scoped(host, extensions):
        schemas |= _list_schemas(host, extensions / name / "schemas", name)
    return schemas


def _list_schemas(host: HostReader, directory: Path, name: str) -> dict[str, Path]:
    return {
        f"{name}:{file.removesuffix('.json')}": directory / name / file
        for file in host.listdir(directory / name)
        if file.endswith(".json")
    }


def _list_scoped(host: HostReader, directory: Path) -> list[str]:
    """Return names of npm packages: the directories, and those one level below a scope."""
    names: list[str] = []
    for name in host.listdir(directory):
        if name.startswith("@"):
            names += [f"{name}/{below}" for below in host.listdir(directory / name)]
        else:
            names.append(name)
    return names


def _list_lab_packages(host: HostReader, prefix: Path) -> set[str]:
    """Return the packages of JupyterLab itself and of the installed extensions."""
    share = prefix / "share" / "jupyter"
    built = _read_json(host, share / "lab" / "static" / "package.json").get("jupyterlab", {})
    packages = {*built.get("extensions", {}), *built.get("mimeExtensions", {})}
    return packages | set(_list_scoped(host, share / "labextensions")) if packages else set()


def _list_modules(host: HostReader, prefix: Path) -> set[str]:
    modules: set[str] = set()
    for library in host.listdir(prefix / "lib"):
        if library.startswith("python3."):
            names = host.listdir(prefix / "lib" / library / "site-packages")
            modules |= {name.partition(".")[0] for name in names if "-" not in name}
    return modules


def _read_json(host: HostReader, path: Path) -> dict[str, Any]:
    try:
        data = json.loads(host.read(path) or b"{}")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
