"""Run another program as root over directories of users, so that it follows no link in them.

Such a program walks by names. A user who swaps a directory for a link meanwhile would have it read
what the link leads to. In a mount namespace of the program, the kernel follows no link there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tljh.host.interface import HostReader

# The directories, an empty word, and the command.
_SCRIPT = """
set -e
while [ -n "$1" ]; do
  mount --rbind "$1" "$1"
  findmnt -Rlno TARGET "$1" | while IFS= read -r place; do
    mount -o remount,bind,nosymfollow "$place"
  done
  shift
done
shift
exec "$@"
"""


def wrap_command(argv: Sequence[str], directories: Iterable[Path]) -> list[str]:
    """Return the command that runs `argv` while no link below the directories is followed."""
    unshare = ["unshare", "--mount", "--propagation", "private"]
    return [*unshare, "sh", "-c", _SCRIPT, "sh", *map(str, directories), "", *argv]


def find_tops(trees: Iterable[Path]) -> list[Path]:
    """Return few directories that have all the trees in them: the parents of several."""
    parents: dict[Path, list[Path]] = {}
    for tree in trees:
        parents.setdefault(tree.parent, []).append(tree)
    tops: list[Path] = []
    for parent, inner in parents.items():
        tops += [parent] if len(inner) > 1 and parent != Path("/") else inner
    return tops


def can_wrap(host: HostReader, directories: Sequence[Path]) -> bool:
    """Return whether that works: not in some containers, nor with Linux before 5.10."""
    return host.query(wrap_command(["true"], directories)).ok
