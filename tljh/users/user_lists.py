"""Lists of users in sections of an authenticator's classes, merged with those of `users`.

A list in a section of a subclass would hide the list of its base, where tljh has the names of
`users`. So the lists of all classes of the authenticator are merged. A section of any other class
has no effect, and its names count nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Sections = Mapping[str, Mapping[str, Any]]

USER_LISTS = ("allowed_users", "admin_users", "blocked_users")

# Names of earlier releases of JupyterHub, which still replace the list of the present name.
OLD_NAMES = {"whitelist": "allowed_users", "blacklist": "blocked_users"}


def combine_user_lists(
    layers: Sequence[Sections], classes: Iterable[str]
) -> tuple[dict[str, dict[str, Any]], list[tuple[str, str]]]:
    """Merge the lists of users in sections of the authenticator's `classes`, bases first.

    `layers` are sections by source, tljh's first. An empty list is a decision: it empties the
    lists before it. Returns the lists to set, and the class and name of those that emptied others.
    """
    merged: dict[str, dict[str, Any]] = {}
    emptied = []
    for name in classes:
        for layer in layers:
            for trait in USER_LISTS:
                own = layer.get(name, {}).get(trait)
                if own is None:
                    continue
                before = _find_last(merged, trait)
                if before and not own:
                    emptied.append((name, trait))
                value = _add(own, before) if own else own
                merged.setdefault(name, {})[trait] = value
    return merged, emptied


def _find_last(merged: Sections, trait: str) -> Any:
    values = [values[trait] for values in merged.values() if trait in values]
    return values[-1] if values else ()


def _add(first: Any, second: Any) -> Any:
    if isinstance(first, (set, frozenset)):
        return set(first) | set(second)
    return [*first, *(name for name in second if name not in first)]


def rename_old_lists(sections: Sections) -> dict[str, dict[str, Any]]:
    """Return copies of sections that have the lists of users under their present names only."""
    renamed = {}
    for section, traits in sections.items():
        values = {name: value for name, value in traits.items() if name not in OLD_NAMES}
        for old, new in OLD_NAMES.items():
            if traits.get(old) is not None:
                values[new] = _add(traits[old], values.get(new) or ())
        renamed[section] = values
    return renamed
