"""Scan of the configurable traits of all classes in a hub environment, stored as JSON.

    python -m tljh.hub.trait_scan [PREFIX]

The environment's own Python runs this once, after the environment is built: it imports JupyterHub
and all installed authenticators, spawners and proxies, which takes seconds. A check of a
configuration reads the result (`tljh.settings.trait_catalogue`) and imports none of them.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from tljh.base.errors import TljhError
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.settings.trait_catalogue import NAMED_HERE

GROUPS = {
    "authenticators": "jupyterhub.authenticators",
    "spawners": "jupyterhub.spawners",
    "proxies": "jupyterhub.proxies",
}


OUR_CLASSES = (
    "tljh.hub.process.app:TljhHub",
    "tljh.hub.process.firstuse_authenticator:ClaimedFirstUseAuthenticator",
    "tljh.hub.process.native_authenticator:ClaimedNativeAuthenticator",
    "tljh.hub.process.spawner:UserCreatingSpawner",
)


# The kind of YAML value for a trait's class, or for the nearest of its bases.
KINDS = {
    "ByteSpecification": "bytes",
    "Command": "command",
    "Bool": "bool",
    "Integer": "int",
    "Int": "int",
    "Float": "number",
    "Unicode": "text",
    "Bytes": "text",
    "EntryPointType": "text",
    "Type": "text",
    "List": "list",
    "Set": "list",
    "Tuple": "list",
    "Dict": "map",
    "Enum": "choice",
    "UseEnum": "choice",
    "Callable": "function",
    "Union": "any",
    "Instance": "any",
    "Any": "any",
}


def _get_kind(trait: Any) -> str:
    if type(trait).__name__ == "JupyterHubPath":
        return "text"
    for base in type(trait).__mro__:
        if base.__name__ in KINDS:
            return KINDS[base.__name__]
    return "any"


def _convert_to_plain(value: Any) -> Any:
    """Return a trait's default for the catalogue; None if it is long or does not fit JSON."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return value if len(value) <= 80 else None
    if isinstance(value, (list, tuple, set, frozenset)) and not value:
        return []
    return {} if isinstance(value, dict) and not value else None


def _describe(trait: Any) -> dict[str, Any]:
    first_paragraph = (trait.help or "").strip().split("\n\n")[0]
    description: dict[str, Any] = {
        "kind": _get_kind(trait),
        "type": type(trait).__name__,
        "info": trait.info(),
        "help": " ".join(first_paragraph.split())[:200],
    }
    if trait.allow_none:
        description["none"] = True
    members = getattr(trait, "enum_class", None)
    values = [member.name for member in members] if members else getattr(trait, "values", None)
    if description["kind"] == "choice" and values:
        description["choices"] = [_convert_to_plain(value) for value in values]
    for key, attribute in (("minimum", "min"), ("maximum", "max")):
        bound = getattr(trait, attribute, None)
        if isinstance(bound, (int, float)):
            description[key] = bound
    item = getattr(trait, "_trait", None)
    if description["kind"] == "list" and item is not None:
        description["item"] = _get_kind(item)
    try:
        default = _convert_to_plain(trait.default())
    except Exception:
        # Some defaults are computed from a running hub. Here there is none, so they are left out.
        default = None
    if default is not None:
        description["default"] = default
    return description


def _import(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


def _find_roots() -> Iterator[tuple[str, str, Any]]:
    """Yield group, short name and class of everything that is installed and can be imported.

    Group and short name are empty for classes that JupyterHub and tljh use in any case.
    """
    for reference in ("jupyterhub.app:JupyterHub", *OUR_CLASSES):
        try:
            yield "", "", _import(reference)
        except (ImportError, AttributeError) as error:
            print(f"not in the catalogue: {reference}: {error}", file=sys.stderr)
    for short_name, reference in NAMED_HERE.items():
        # Not in every hub environment: its package comes with `hub.packages`.
        with contextlib.suppress(ImportError):
            yield "authenticators", short_name, _import(reference)
    for group, entry_point_group in GROUPS.items():
        for entry in entry_points(group=entry_point_group):
            # An optional authenticator has an entry point even where its library is missing.
            try:
                yield group, entry.name, entry.load()
            except Exception as error:
                print(f"not in the catalogue: {entry.value}: {error}", file=sys.stderr)


def _import_named(paths: Iterable[str]) -> Iterator[tuple[str, str, Any]]:
    for path in paths:
        module, _, name = path.replace(":", ".").rpartition(".")
        try:
            yield "authenticators", path, _import(f"{module}:{name}")
        # The package of the class may not be installed yet, or may fail in any way.
        except Exception as error:
            print(f"not in the catalogue: {path}: {error}", file=sys.stderr)


def _find_configured() -> Iterator[str]:
    """Yield the path of the authenticator's class where config.yaml gives one."""
    from tljh.base.paths import get_paths
    from tljh.settings.load import examine

    try:
        config = examine(get_paths().config_file).config
    except (OSError, TljhError):
        return
    for name in (
        config.auth.type,
        config.traitlets.get("JupyterHub", {}).get("authenticator_class"),
    ):
        if isinstance(name, str) and "." in name:
            yield name


def build(configured: Iterable[str] = ()) -> dict[str, Any]:
    """Return the catalogue of classes and traits that this Python can import.

    `configured` are paths of authenticators, which need no entry point to be found.
    """
    from traitlets import HasTraits

    names: dict[str, dict[str, str]] = {group: {} for group in GROUPS}
    classes: dict[str, dict[str, Any]] = {}
    pending: list[Any] = []
    for group, short_name, root in (*_find_roots(), *_import_named(configured)):
        if group:
            names[group][short_name] = f"{root.__module__}.{root.__name__}"
        pending.append(root)
        # An application lists the other classes that its configuration file may name.
        listed = root.class_traits().get("classes")
        pending += listed.default() if listed is not None else []
    while pending:
        cls = pending.pop()
        if not isinstance(cls, type) or not issubclass(cls, HasTraits):
            continue
        bases = [base for base in cls.__mro__[1:] if issubclass(base, HasTraits)]
        if cls.__name__ in classes or not cls.class_traits(config=True):
            continue
        classes[cls.__name__] = {
            "path": f"{cls.__module__}.{cls.__name__}",
            "bases": [base.__name__ for base in bases],
            "traits": {
                name: _describe(trait)
                for name, trait in sorted(cls.class_own_traits(config=True).items())
            },
        }
        pending += bases
    from importlib.metadata import version

    return {
        "version": 1,
        "jupyterhub": version("jupyterhub"),
        **names,
        "classes": dict(sorted(classes.items())),
    }


def main() -> None:
    from tljh.host.real import RealHost

    environment = Path(sys.argv[1] if len(sys.argv) > 1 else sys.prefix)
    target = HubEnvironmentFiles(environment).traits
    text = json.dumps(build(_find_configured()), indent=1, sort_keys=True)
    host = RealHost()
    owner = host.info(target.parent.parent)
    for directory in (target.parent.parent, target.parent):
        if host.info(directory) is None:
            host.mkdir(directory, mode=0o755, owner=owner.owner if owner else "root")
    host.write(target, text.encode(), mode=0o644)
    print(target)


if __name__ == "__main__":
    main()
