"""What can be configured in the classes of this environment, read once and kept as JSON.

`python -m tljh.hub.trait_scan` is run by a hub environment's own Python when it has been built;
it imports JupyterHub and every authenticator, spawner and proxy that is installed. Checking a
configuration then reads the result (`tljh.settings.trait_catalogue`) and imports none of that.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from tljh.settings.trait_catalogue import NAMED_HERE, place

GROUPS = {
    "authenticators": "jupyterhub.authenticators",
    "spawners": "jupyterhub.spawners",
    "proxies": "jupyterhub.proxies",
}


OUR_CLASSES = (
    "tljh.hub.process.app:Hub",
    "tljh.hub.process.firstuse_authenticator:ClaimedFirstUseAuthenticator",
    "tljh.hub.process.native_authenticator:ClaimedNativeAuthenticator",
    "tljh.user_creating_spawner:UserCreatingSpawner",
)


# How a trait's class (or the nearest of its bases) is written in YAML.
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


def _kind(trait: Any) -> str:
    if type(trait).__name__ == "JupyterHubPath":
        return "text"
    for base in type(trait).__mro__:
        if base.__name__ in KINDS:
            return KINDS[base.__name__]
    return "any"


def _plain(value: Any) -> Any:
    """`value` where JSON can hold it and a reader learns from it, else None."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return value if len(value) <= 80 else None
    if isinstance(value, (list, tuple, set, frozenset)) and not value:
        return []
    return {} if isinstance(value, dict) and not value else None


def _describe(trait: Any) -> dict[str, Any]:
    first_line = (trait.help or "").strip().split("\n\n")[0]
    found: dict[str, Any] = {
        "kind": _kind(trait),
        "type": type(trait).__name__,
        "info": trait.info(),
        "help": " ".join(first_line.split())[:200],
    }
    if trait.allow_none:
        found["none"] = True
    members = getattr(trait, "enum_class", None)
    values = [one.name for one in members] if members else getattr(trait, "values", None)
    if found["kind"] == "choice" and values:
        found["choices"] = [_plain(value) for value in values]
    for ours, theirs in (("minimum", "min"), ("maximum", "max")):
        bound = getattr(trait, theirs, None)
        if isinstance(bound, (int, float)):
            found[ours] = bound
    item = getattr(trait, "_trait", None)
    if found["kind"] == "list" and item is not None:
        found["item"] = _kind(item)
    try:
        default = _plain(trait.default())
    except Exception:
        # A default that only a running hub can work out.
        default = None
    if default is not None:
        found["default"] = default
    return found


def _named(text: str) -> Any:
    module, _, name = text.partition(":")
    return getattr(import_module(module), name)


def _roots() -> Iterator[tuple[str, str, Any]]:
    """Group, short name and class of everything that is installed and can be imported."""
    for reference in ("jupyterhub.app:JupyterHub", *OUR_CLASSES):
        try:
            yield "", "", _named(reference)
        except (ImportError, AttributeError) as error:
            print(f"not in the catalogue: {reference}: {error}", file=sys.stderr)
    for short, reference in NAMED_HERE.items():
        # Not in every hub environment: it comes with `hub.packages`.
        with contextlib.suppress(ImportError):
            yield "authenticators", short, _named(reference)
    for group, name in GROUPS.items():
        for entry in entry_points(group=name):
            # The entry point of an optional authenticator fails where its library is missing.
            try:
                yield group, entry.name, entry.load()
            except Exception as error:
                print(f"not in the catalogue: {entry.value}: {error}", file=sys.stderr)


def build() -> dict[str, Any]:
    """Read classes and traits from what is installed beside this Python."""
    from traitlets import HasTraits

    names: dict[str, dict[str, str]] = {group: {} for group in GROUPS}
    classes: dict[str, dict[str, Any]] = {}
    waiting: list[Any] = []
    for group, short, found in _roots():
        if group:
            names[group][short] = f"{found.__module__}.{found.__name__}"
        waiting.append(found)
        listed = found.class_traits().get("classes")
        waiting += listed.default() if listed is not None else []
    while waiting:
        found = waiting.pop()
        if not isinstance(found, type) or not issubclass(found, HasTraits):
            continue
        bases = [base for base in found.__mro__[1:] if issubclass(base, HasTraits)]
        if found.__name__ in classes or not found.class_traits(config=True):
            continue
        classes[found.__name__] = {
            "path": f"{found.__module__}.{found.__name__}",
            "bases": [base.__name__ for base in bases],
            "traits": {
                name: _describe(trait)
                for name, trait in sorted(found.class_own_traits(config=True).items())
            },
        }
        waiting += bases
    from importlib.metadata import version

    return {
        "version": 1,
        "jupyterhub": version("jupyterhub"),
        **names,
        "classes": dict(sorted(classes.items())),
    }


def main() -> None:
    from tljh.host.real import RealHost

    target = place(Path(sys.argv[1] if len(sys.argv) > 1 else sys.prefix))
    text = json.dumps(build(), indent=1, sort_keys=True)
    host = RealHost()
    owner = host.info(target.parent.parent)
    for directory in (target.parent.parent, target.parent):
        if host.info(directory) is None:
            host.mkdir(directory, mode=0o755, owner=owner.owner if owner else "root")
    host.write(target, text.encode(), mode=0o644)
    print(target)


if __name__ == "__main__":
    main()
