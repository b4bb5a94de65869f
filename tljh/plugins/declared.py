"""What plugins' hooks return: files, units, rules and results, as data.

A hook runs in another process than the change that uses its answer, so an answer is written as
JSON. Plugins import these classes from `tljh.hooks`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any


def _check_path(path: str) -> None:
    if not path.startswith("/") or ".." in PurePosixPath(path).parts:
        raise ValueError(f"a path must be absolute and without '..', not {path!r}")


@dataclass(frozen=True)
class PluginFile:
    """A file with this text; `secret` keeps it out of plans."""

    path: str
    text: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = False

    def __post_init__(self) -> None:
        _check_path(self.path)


@dataclass(frozen=True)
class PluginDirectory:
    """A directory; what is in it is not changed."""

    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"

    def __post_init__(self) -> None:
        _check_path(self.path)


@dataclass(frozen=True)
class PluginUnit:
    """A unit of systemd with the text of its file; it runs and starts at boot, if `starts`.

    A timer's service has `starts=False`: the timer starts it.
    """

    name: str
    text: str
    starts: bool = True

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9:_.@-]+\.(service|timer|socket|path|slice)", self.name):
            raise ValueError(f"a unit has a name like course.service, not {self.name!r}")


@dataclass(frozen=True)
class PluginPackages:
    """Debian packages to install; they stay when the plugin goes."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in self.names:
            if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name):
                raise ValueError(f"not the name of a Debian package: {name!r}")


Declared = PluginFile | PluginDirectory | PluginUnit | PluginPackages


@dataclass(frozen=True)
class CheckResult:
    """What a check found wrong: one sentence, and how to fix it."""

    what: str
    fix: str | None = None
    why: str | None = None
    is_broken: bool = False


_CLASSES: Mapping[str, Any] = {
    each.__name__: each
    for each in (PluginFile, PluginDirectory, PluginUnit, PluginPackages, CheckResult)
}


def to_json(items: Iterable[Any]) -> list[dict[str, Any]]:
    """Return declared items as JSON values. Raises TypeError for anything else."""
    values = []
    for item in items:
        if type(item).__name__ not in _CLASSES:
            names = ", ".join(sorted(_CLASSES))
            raise TypeError(f"the hook must return a list of {names}, not {item!r:.60}")
        values.append({"class": type(item).__name__, **asdict(item)})
    return values


def from_json(values: Iterable[Mapping[str, Any]]) -> list[Any]:
    """Return the items that `to_json` wrote."""
    items = []
    for value in values:
        if not isinstance(value, Mapping):
            raise TypeError(f"{value!r:.60} is not one of {', '.join(sorted(_CLASSES))}")
        arguments = {key: item for key, item in value.items() if key != "class"}
        if "names" in arguments:
            arguments["names"] = tuple(arguments["names"])
        items.append(_CLASSES[value["class"]](**arguments))
    return items
