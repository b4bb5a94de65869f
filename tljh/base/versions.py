"""Comparison of release versions: which release may replace which."""

from __future__ import annotations

import re

from tljh.base.errors import Finding

VersionKey = tuple[tuple[int, ...], tuple[str, int]]

_VERSION = re.compile(r"(\d+(?:\.\d+)*)(?:\.?(dev|a|b|rc)(\d*))?\Z")
# Sorts after every pre-release of the same numbers.
_FINAL = ("z", 0)


def parse_version(text: str) -> VersionKey:
    """Return a version as a value that sorts: 0.9 < 0.10a1 < 0.10rc1 < 0.10 = 0.10.0.

    Raises ValueError for any other text.
    """
    match = _VERSION.match(text.strip())
    if match is None:
        raise ValueError(f"not a version: {text!r}")
    numbers = [int(part) for part in match[1].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    # "dev" sorts before "a", "b" and "rc".
    stage = {"dev": "", None: _FINAL[0]}.get(match[2], match[2])
    return tuple(numbers), (stage, int(match[3] or 0))


def find_replacement_problem(
    installed: str, new: str, upgrades_from: str, bridge: str = ""
) -> Finding | None:
    """Return why release `new` may not replace `installed`; None if it may.

    `upgrades_from` is the oldest release that `new` can replace, `bridge` a release that can
    replace `installed` first, where the caller knows one.
    """
    try:
        current, target, oldest = map(parse_version, (installed, new, upgrades_from))
    except ValueError:
        # A stamp of a developer's own build; its version says nothing.
        return None
    if target < current:
        return Finding(
            f"tljh {installed} runs here, and {new} is older",
            why="an older release cannot read the database and the settings of a newer one",
            fix="to go back to the release before, with its database: sudo tljh rollback",
        )
    if current < oldest:
        way = bridge or f"{upgrades_from} or the newest release that replaces {installed}"
        return Finding(
            f"tljh {new} cannot replace {installed}, which is too old",
            why=f"it replaces {upgrades_from} and newer",
            fix=f"upgrade to {way} first, then to {new}",
        )
    return None
