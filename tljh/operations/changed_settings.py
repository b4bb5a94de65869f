"""The settings that an edit of config.yaml changes, and what each costs, for plan and history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tljh.engine.facts import Facts
from tljh.engine.plan import ChangedSetting
from tljh.settings.declaration import Cost
from tljh.settings.keys import format_key
from tljh.settings.load import examine
from tljh.settings.reference import COSTS
from tljh.settings.root import Config
from tljh.settings.shape import ANYTHING, Shape, derive_shape, follow_path
from tljh.settings.tree_values import TreeReader
from tljh.settings.value_changes import NOT_SET, describe_change, flatten
from tljh.singleuser.facts import ServerFacts
from tljh.singleuser.limits import compute_defaults

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath


def compute_machine_defaults(facts: Facts) -> Mapping[str, str]:
    """Return what defaults that depend on the machine's size amount to here, by key."""
    return compute_defaults(facts.of(ServerFacts).size)


def find_changed_settings(
    before: bytes, after: bytes, computed: Mapping[str, str]
) -> tuple[ChangedSetting, ...]:
    """Compare two contents of config.yaml; secrets are masked.

    `computed` is what defaults amount to on this machine, by key. Both contents are read in the
    same way, without the classes of a hub environment: the older one may be of another release.
    """
    if before == after:
        return ()
    old, new = _read_values(before), _read_values(after)
    changes = []
    for path in dict.fromkeys((*old, *new)):
        shapes = [shape for shape in follow_path(derive_shape(Config), path) if shape is not None]
        default = _find_default(shapes, len(path))
        values = old.get(path, default), new.get(path, default)
        if values[0] != values[1]:
            key = format_key(path)
            change = describe_change(path, *values)
            if key in computed and default in values:
                change += f" (the default is {computed[key]} on this machine)"
            changes.append(ChangedSetting(key, change, _find_cost(path, shapes)))
    return tuple(changes)


def _read_values(data: bytes) -> dict[KeyPath, Any]:
    examined = examine(data)
    values = examined.config.model_dump(mode="json", exclude_unset=True)
    root = examined.document.root
    if root is not None and root.kind == "map":
        # Sections of plugins are not among the settings.
        values = {**TreeReader().entries(root, ANYTHING, ()), **values}
    return dict(flatten(values))


def _find_default(shapes: list[Shape], depth: int) -> Any:
    """Return the value of a setting that is not written, given the shapes on its path."""
    if len(shapes) < depth:
        return NOT_SET
    if any(shape.kind == "map" for shape in shapes[:-1]):
        # In a map, such as the limits of single users, the general setting applies instead.
        return [] if shapes[-1].kind == "list" else NOT_SET
    declaration = shapes[-1].declaration
    return declaration.get_default(call_default_factory=True) if declaration else NOT_SET


def _find_cost(path: KeyPath, shapes: list[Shape]) -> str | None:
    for shape in reversed(shapes):
        extra = shape.declaration.json_schema_extra if shape.declaration else None
        if isinstance(extra, dict) and "cost" in extra:
            return COSTS[Cost(extra["cost"])]
    is_trait = any(str(step)[:1].isupper() for step in path[:2])
    return COSTS[Cost.HUB_RESTART] if is_trait else None
