"""Import one plugin and ask it for what it contributes; print that as JSON.

    <hub environment>/bin/python -I -m tljh.plugins.inspection NAME TIMEOUT_S [HOOK]

With HOOK, call that hook with the arguments on standard input, a JSON mapping.

Each plugin is asked in another process, so that none of them can end or block the process that
plans a change, or the other plugins.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import Distribution, EntryPoint, distributions
from inspect import getmembers
from pathlib import Path
from typing import Any

import pluggy

from tljh import __version__
from tljh.base.errors import Finding, Place
from tljh.plugins import hookspecs
from tljh.plugins.declared import to_json
from tljh.plugins.guard import (
    PluginError,
    find_code_place,
    run_guarded,
    suggest_removal,
    suggest_upgrade,
)

ENTRY_POINTS = "tljh"
# The names of the lists in `Contributions`, by the hooks that return them.
PACKAGE_HOOKS = {
    "conda_packages": "tljh_extra_user_conda_packages",
    "conda_channels": "tljh_extra_user_conda_channels",
    "user_pip_packages": "tljh_extra_user_pip_packages",
    "hub_pip_packages": "tljh_extra_hub_pip_packages",
    "apt_packages": "tljh_extra_apt_packages",
}
# After the plugin's own time: it may catch what stops it, or hang outside of Python.
GRACE_S = 3.0


def find_entry_points() -> Iterator[tuple[EntryPoint, Distribution]]:
    """Yield the plugins of this environment with their distributions, in their order of loading."""
    plugins = [
        (entry_point, distribution)
        for distribution in distributions()
        for entry_point in distribution.entry_points
        if entry_point.group == ENTRY_POINTS
    ]
    # Only the names of these are read: the metadata of all packages takes long to parse.
    yield from sorted(plugins, key=lambda plugin: str(plugin[1].metadata["Name"]))


def register(manager: pluggy.PluginManager, entry_point: EntryPoint, timeout_s: float) -> None:
    """Import a plugin and register its hooks. Raises PluginError with the plugin's name."""
    name = entry_point.name

    def load() -> Any:
        try:
            return entry_point.load()
        except ModuleNotFoundError as error:
            if error.name == entry_point.module:
                raise ImportError(f"there is no module {error.name}", name=error.name) from error
            raise

    plugin = run_guarded(name, "when it is imported", load, timeout_s=timeout_s)
    register_module(manager, name, plugin)


def register_module(manager: pluggy.PluginManager, name: str, plugin: Any) -> None:
    """Register the hooks of an imported plugin. Raises PluginError for hooks that do not fit."""
    try:
        run_guarded(name, "", lambda: manager.register(plugin, name=name), timeout_s=60.0)
    except PluginError as error:
        raise PluginError(name, _describe_refusal(name, plugin, error)) from error


def _list_implementations(plugin: Any) -> Iterator[tuple[str, Any]]:
    for name, value in getmembers(plugin, callable):
        if getattr(value, "tljh_impl", None):
            yield name, value


def _find_unknown_hooks(name: str, plugin: Any) -> Iterator[Finding]:
    """Yield a warning for each hook that this release does not have; pluggy never calls it."""
    for function_name, function in _list_implementations(plugin):
        hook = function.tljh_impl.get("specname") or function_name
        if not hasattr(hookspecs, hook) and not function.tljh_impl.get("optionalhook"):
            yield Finding(
                f"plugin {name} needs another release of tljh: there is no hook {hook}",
                find_code_place(function),
                f"it is not called; the installed release is {__version__}",
                "sudo tljh upgrade; or correct the name of the hook",
            )


def _describe_refusal(name: str, plugin: Any, error: PluginError) -> Finding:
    """Return the finding for hooks that pluggy refuses: an argument that the hook does not have."""
    text = error.finding.what
    place = next(
        (
            find_code_place(function)
            for hook, function in _list_implementations(plugin)
            if f"hook {hook!r}" in text or f"hook: {hook}" in text
        ),
        None,
    )
    arguments = text.rpartition("Argument(s) ")[2]
    what = f"plugin {name} cannot be registered: {text.partition(': ')[2] or text}"
    if arguments != text:
        what = f"plugin {name} has a hook with arguments that there are not: {arguments}"
    return Finding(what, place, None, "the arguments of all hooks: docs/guides/plugins.md")


def find_unmet_requirement(distribution: Distribution) -> str | None:
    """Return the release of tljh that a plugin's metadata requires, if this one is not it."""
    from packaging.requirements import InvalidRequirement, Requirement

    for text in distribution.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        name = requirement.name.lower().replace("_", "-")
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if name in ("tljh", "the-littlest-jupyterhub") and applies:
            is_ours = name == "tljh"
            if is_ours and not requirement.specifier.contains(__version__, prereleases=True):
                return str(requirement)
    return None


def inspect(name: str, timeout_s: float) -> dict[str, Any]:
    """Return what a plugin contributes: lists by the names of `Contributions`, and `warnings`.

    Raises PluginError with its mistake.
    """
    installed = next((item for item in find_entry_points() if item[0].name == name), None)
    if installed is None:
        raise PluginError(name, Finding(f"plugin {name} is not installed"))
    entry_point, distribution = installed
    _end_later(timeout_s)
    unmet = find_unmet_requirement(distribution)
    if unmet is not None:
        raise PluginError(
            name,
            Finding(
                f"plugin {name} needs another release of tljh: {unmet}",
                Place(str(distribution.locate_file(f"{_find_metadata(distribution)}"))),
                f"the installed release is {__version__}",
                suggest_upgrade(name),
            ),
        )
    manager = pluggy.PluginManager("tljh")
    manager.add_hookspecs(hookspecs)
    try:
        register(manager, entry_point, timeout_s)
    except PluginError as error:
        if error.finding.where is None:
            where = Place(
                str(distribution.locate_file(_find_metadata(distribution, "entry_points.txt")))
            )
            finding = error.finding
            raise PluginError(
                name, Finding(finding.what, where, finding.why, finding.fix)
            ) from error
        raise
    return ask(manager, name, timeout_s, _end_later)


def ask(
    manager: pluggy.PluginManager,
    name: str,
    timeout_s: float,
    before_each: Callable[[float], None] = lambda timeout_s: None,
) -> dict[str, Any]:
    """Return what a registered plugin contributes. Raises PluginError with its mistake.

    `before_each` is called before each hook, with the seconds that it has.
    """
    warnings = list(_find_unknown_hooks(name, manager.get_plugin(name)))
    contributed: dict[str, Any] = {}
    for field, hook in PACKAGE_HOOKS.items():
        before_each(timeout_s)
        contributed[field] = _ask_for_list(manager, name, hook, timeout_s, warnings)
    before_each(timeout_s)
    contributed["commands"] = _ask_for_commands(manager, name, timeout_s)
    before_each(timeout_s)
    contributed["settings"] = _ask_for_settings(manager, name, timeout_s)
    contributed["hooks"] = sorted(
        {
            caller.name
            for caller in manager.get_hookcallers(manager.get_plugin(name)) or ()
            if caller.spec is not None
        }
    )
    contributed["warnings"] = [warning.as_json() for warning in warnings]
    return contributed


def _ask_for_commands(manager: pluggy.PluginManager, name: str, timeout_s: float) -> dict[str, str]:
    """Return the functions of a plugin's verbs as `module:name`."""
    commands: dict[str, str] = {}
    for implementation in manager.hook.tljh_commands.get_hookimpls():
        if implementation.plugin_name != name:
            continue
        function = implementation.function
        verbs: Any = run_guarded(name, "in tljh_commands", function, timeout_s=timeout_s)
        for verb, command in (verbs or {}).items():
            is_named = re.fullmatch(r"[a-z][a-z0-9-]*", str(verb)) is not None
            path = getattr(command, "__qualname__", ".")
            if not is_named or "." in path or "<" in path:
                what = f"plugin {name} returns {verb!r}: {command!r:.60} in tljh_commands"
                fix = "return functions of a module by their verbs, such as {'sync': sync}"
                raise PluginError(name, Finding(what, find_code_place(function), None, fix))
            commands[verb] = f"{command.__module__}:{path}"
    return commands


def _ask_for_settings(manager: pluggy.PluginManager, name: str, timeout_s: float) -> dict[str, Any]:
    """Return the sections that a plugin declares, described as JSON values."""
    from tljh.settings.plugin_sections import build_section, describe_section

    sections: dict[str, Any] = {}
    for implementation in manager.hook.tljh_settings.get_hookimpls():
        if implementation.plugin_name != name:
            continue
        models: Any = run_guarded(
            name, "in tljh_settings", implementation.function, timeout_s=timeout_s
        )
        try:
            for key, model in (models or {}).items():
                sections[key] = json.loads(json.dumps(describe_section(key, model)))
                # The defaults must be valid, too.
                build_section(key, sections[key]).model_validate({}, strict=True)
        except (ValueError, TypeError, AttributeError) as error:
            text = " ".join(str(error).split())
            raise PluginError(
                name,
                Finding(
                    f"plugin {name} declares in tljh_settings what is no section: {text}",
                    find_code_place(implementation.function),
                    None,
                    suggest_removal(name),
                ),
            ) from error
    return sections


def call_hook(
    manager: pluggy.PluginManager,
    name: str,
    hook: str,
    arguments: Mapping[str, Any],
    timeout_s: float,
) -> Any:
    """Return a plugin's answer to a hook, as JSON. Raises PluginError with its mistake."""
    answers: list[Any] = []
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if implementation.plugin_name != name:
            continue
        accepted = {key: arguments[key] for key in implementation.argnames}

        def answer(implementation: Any = implementation, accepted: Any = accepted) -> Any:
            returned = implementation.function(**accepted)
            if returned is None or isinstance(returned, (str, dict)):
                return returned
            items = list(returned)
            return items if all(isinstance(item, str) for item in items) else to_json(items)

        try:
            answers.append(run_guarded(name, f"in {hook}", answer, timeout_s=timeout_s))
        except PluginError as error:
            # Where the answer itself is wrong, the function that returned it is the place.
            if error.finding.where is None:
                place = find_code_place(implementation.function)
                raise PluginError(name, replace(error.finding, where=place)) from error
            raise
    return answers[0] if answers else None


def _answer(name: str, timeout_s: float, hook: str | None) -> dict[str, Any]:
    if hook is None:
        return inspect(name, timeout_s)
    arguments = json.loads(sys.stdin.read())
    installed = next(item for item, _ in find_entry_points() if item.name == name)
    manager = pluggy.PluginManager("tljh")
    manager.add_hookspecs(hookspecs)
    _end_later(timeout_s)
    register(manager, installed, timeout_s)
    _end_later(timeout_s)
    return {"answer": call_hook(manager, name, hook, arguments, timeout_s)}


def _end_later(timeout_s: float) -> None:
    """Have the process print its stack and end, should the plugin not let itself be stopped."""
    faulthandler.dump_traceback_later(timeout_s + min(GRACE_S, timeout_s), exit=True)


def _find_metadata(distribution: Distribution, name: str = "METADATA") -> str:
    files = distribution.files or ()
    return next((str(file) for file in files if file.name == name), name)


def _ask_for_list(
    manager: pluggy.PluginManager,
    name: str,
    hook: str,
    timeout_s: float,
    warnings: list[Finding],
) -> list[str]:
    items: list[str] = []
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if implementation.plugin_name != name:
            continue
        returned = run_guarded(
            name, f"in {hook}", implementation.function, timeout_s=timeout_s, warnings=warnings
        )
        if returned is None:
            continue
        is_list = isinstance(returned, (list, tuple, set, frozenset))
        if not is_list or not all(isinstance(item, str) for item in returned):
            raise PluginError(
                name,
                Finding(
                    f"plugin {name} returns {returned!r:.80} in {hook}, not a list of texts",
                    find_code_place(implementation.function),
                    None,
                    "return a list, such as ['numpy']",
                ),
            )
        items += returned
    return items


def main() -> int:
    """Print what the plugin contributes, or its failure, as the only line of standard output."""
    name, timeout_s = sys.argv[1], float(sys.argv[2])
    # What the plugin's programs print must not mix with the answer either.
    answer_fd = os.dup(1)
    os.dup2(2, 1)
    faulthandler.enable()
    # Some hooks write files where they are called.
    with tempfile.TemporaryDirectory(prefix="tljh-plugins-") as directory, _enter(directory):
        try:
            answer = _answer(name, timeout_s, sys.argv[3] if len(sys.argv) > 3 else None)
        except PluginError as error:
            answer = {"failure": error.finding.as_json()}
    with os.fdopen(answer_fd, "w", encoding="utf-8") as file:
        file.write(json.dumps(answer) + "\n")
    # Threads of the plugin must not keep the process.
    os._exit(0)


@contextlib.contextmanager
def _enter(directory: str) -> Iterator[None]:
    previous = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(previous)


if __name__ == "__main__":
    sys.exit(main())
