"""Finding plugins and asking them; an error of a plugin always names the plugin."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pluggy

from tljh.base.errors import TljhError
from tljh.host.interface import HostReader
from tljh.plugins import hookspecs

ENTRY_POINTS = "tljh"


# They are imported with what they need, as slowly as the hub (tljh.hub.config_check).
ASK_TIMEOUT_S = 180.0


@dataclass(frozen=True)
class Contributions:
    """What all plugins together ask for."""

    conda_packages: tuple[str, ...] = ()
    conda_channels: tuple[str, ...] = ()
    user_pip_packages: tuple[str, ...] = ()
    hub_pip_packages: tuple[str, ...] = ()
    apt_packages: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def installed_plugins() -> pluggy.PluginManager:
    """All plugins of this hub environment, loaded once.

    Raises TljhError, naming the plugin, when one cannot be imported.
    """
    manager = pluggy.PluginManager("tljh")
    manager.add_hookspecs(hookspecs)
    try:
        manager.load_setuptools_entrypoints(ENTRY_POINTS)
    except Exception as error:
        raise TljhError(
            "a plugin cannot be loaded",
            why=f"{type(error).__name__}: {error}",
            fix=f"mend or remove it: sudo {sys.prefix}/bin/python -m pip list",
        ) from error
    return manager


def plugin_names(manager: pluggy.PluginManager | None = None) -> list[str]:
    manager = manager or installed_plugins()
    return sorted(name for name, plugin in manager.list_name_plugin() if plugin is not None)


def call(manager: pluggy.PluginManager, hook: str, **arguments: Any) -> list[Any]:
    """Call one hook of every plugin, in order of registration.

    Raises TljhError that names the plugin whose code failed.
    """
    answers = []
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        wanted = {name: arguments[name] for name in implementation.argnames}
        try:
            answer = implementation.function(**wanted)
        except Exception as error:
            raise TljhError(
                f"plugin {implementation.plugin_name} failed in {hook}",
                why=f"{type(error).__name__}: {error}",
                fix=f"mend the plugin or remove {implementation.plugin_name} from plugins.packages",
            ) from error
        if answer is not None:
            answers.append(answer)
    return answers


def contributions(manager: pluggy.PluginManager | None = None) -> Contributions:
    """Ask every plugin for what it wants installed."""
    manager = manager or installed_plugins()

    def all_of(hook: str) -> tuple[str, ...]:
        return _unique(item for answer in call(manager, hook) for item in answer)

    return Contributions(
        all_of("tljh_extra_user_conda_packages"),
        all_of("tljh_extra_user_conda_channels"),
        all_of("tljh_extra_user_pip_packages"),
        all_of("tljh_extra_hub_pip_packages"),
        all_of("tljh_extra_apt_packages"),
    )


def contributions_of(host: HostReader, environment: Path) -> Contributions:
    """What the plugins of another hub environment ask for, by its own Python.

    Raises TljhError with what that Python says.
    """
    if environment == Path(sys.prefix):
        return contributions()
    argv = [f"{environment}/bin/python", "-I", "-m", "tljh.plugins.manager"]
    answer = host.query(argv, timeout_s=ASK_TIMEOUT_S)
    if not answer.ok:
        raise TljhError(
            f"the plugins of {environment} cannot be asked",
            why=answer.err.strip()[-1500:],
            fix="mend or remove the plugin that the last line names",
        )
    told = json.loads(answer.out)
    return Contributions(**{name: tuple(items) for name, items in told.items()})


def _unique(items: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))


def main() -> int:
    try:
        print(json.dumps(asdict(contributions())))
    except TljhError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
