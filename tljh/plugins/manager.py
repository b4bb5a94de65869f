"""Loading plugins and calling their hooks; an error in a plugin is reported with its name."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Container, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from tljh.base.errors import TljhError
from tljh.base.paths import HubEnvironmentFiles
from tljh.host.interface import HostReader
from tljh.plugins import hookspecs

ENTRY_POINTS = "tljh"


# The other Python imports all plugins with their dependencies, as slowly as the hub
# (tljh.hub.config_check).
ASK_TIMEOUT_S = 180.0


@dataclass(frozen=True)
class Contributions:
    """Packages and channels that all plugins together ask for."""

    conda_packages: tuple[str, ...] = ()
    conda_channels: tuple[str, ...] = ()
    user_pip_packages: tuple[str, ...] = ()
    hub_pip_packages: tuple[str, ...] = ()
    apt_packages: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def installed_plugins() -> pluggy.PluginManager:
    """Load all plugins of this hub environment, once a process.

    Raises TljhError for a plugin that cannot be imported.
    """
    return load_plugins()


def load_plugins(built_in: Iterable[ModuleType] = ()) -> pluggy.PluginManager:
    """Register the built-in plugins, then load those that are installed as entry points.

    The built-in ones come first, so that an installed plugin can change what they have set.
    Raises TljhError for a plugin that cannot be imported.
    """
    manager = pluggy.PluginManager("tljh")
    manager.add_hookspecs(hookspecs)
    for plugin in built_in:
        manager.register(plugin)
    try:
        manager.load_setuptools_entrypoints(ENTRY_POINTS)
    except Exception as error:
        raise TljhError(
            "a plugin cannot be loaded",
            why=f"{type(error).__name__}: {error}",
            fix=f"update or remove the plugin: sudo {sys.prefix}/bin/python -m pip list",
        ) from error
    return manager


def plugin_names(manager: pluggy.PluginManager | None = None) -> list[str]:
    manager = manager or installed_plugins()
    return sorted(name for name, plugin in manager.list_name_plugin() if plugin is not None)


def call(
    manager: pluggy.PluginManager,
    hook: str,
    *,
    only: Container[ModuleType] | None = None,
    **arguments: Any,
) -> list[Any]:
    """Call a hook of every plugin, in order of registration, and return the results.

    With `only`, the other plugins are left out. Raises TljhError with the plugin's name where its
    code fails. pluggy's own call would raise the bare exception, so each implementation is called
    here.
    """
    results = []
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if only is not None and implementation.plugin not in only:
            continue
        accepted = {name: arguments[name] for name in implementation.argnames}
        try:
            result = implementation.function(**accepted)
        except Exception as error:
            name = implementation.plugin_name
            raise TljhError(
                f"plugin {name} failed in {hook}",
                why=f"{type(error).__name__}: {error}",
                fix=f"update the plugin, or remove {name} from plugins.packages",
            ) from error
        if result is not None:
            results.append(result)
    return results


def contributions(manager: pluggy.PluginManager | None = None) -> Contributions:
    """Collect the packages and channels that the plugins ask for, without repetitions."""
    manager = manager or installed_plugins()

    def collect(hook: str) -> tuple[str, ...]:
        return _unique(item for items in call(manager, hook) for item in items)

    with _empty_working_directory():
        return Contributions(
            collect("tljh_extra_user_conda_packages"),
            collect("tljh_extra_user_conda_channels"),
            collect("tljh_extra_user_pip_packages"),
            collect("tljh_extra_hub_pip_packages"),
            collect("tljh_extra_apt_packages"),
        )


@contextlib.contextmanager
def _empty_working_directory() -> Iterator[None]:
    """Work in an empty directory that is removed: some hooks write files where they are called.

    A plan calls hooks too, in whatever directory the admin is in, and must leave nothing there.
    """
    previous = os.open(".", os.O_PATH | os.O_DIRECTORY)
    try:
        with tempfile.TemporaryDirectory(prefix="tljh-plugins-") as directory:
            os.chdir(directory)
            try:
                yield
            finally:
                os.fchdir(previous)
    finally:
        os.close(previous)


def contributions_of(host: HostReader, environment: Path) -> Contributions:
    """Collect the contributions of another hub environment's plugins, with its own Python.

    Raises TljhError with the last output of that Python.
    """
    if environment == Path(sys.prefix):
        return contributions()
    argv = [str(HubEnvironmentFiles(environment).python), "-I", "-m", "tljh.plugins.manager"]
    result = host.query(argv, timeout_s=ASK_TIMEOUT_S)
    if not result.ok:
        raise TljhError(
            f"the plugins of {environment} cannot be loaded",
            why=result.err.strip()[-1500:],
            fix="update or remove the plugin that the last line names",
        )
    packages = json.loads(result.out)
    return Contributions(**{name: tuple(items) for name, items in packages.items()})


def _unique(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def main() -> int:
    """Print the contributions of this environment's plugins as JSON, for `contributions_of`."""
    try:
        print(json.dumps(asdict(contributions())))
    except TljhError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
