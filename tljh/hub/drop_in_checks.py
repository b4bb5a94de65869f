"""Faults of drop-ins that run: reserved traits, unknown sections, emptied lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from shlex import quote
from typing import Any

from tljh.base.errors import Finding, Place
from tljh.hub.drop_in_changes import Changes, DropIns, find_change, is_only_read
from tljh.hub.trait_layers import EmptiedTrait
from tljh.settings.hub_options import find_refused_in_drop_ins

# Sections of programs that run in users' servers, where the hub's configuration is not read.
SERVER_CONFIG = "/etc/jupyter/jupyter_server_config.py"
KERNEL_CONFIG = "/etc/ipython/ipython_config.py"
PLACES = {
    **dict.fromkeys(
        (
            *("NotebookApp", "ServerApp", "LabApp", "LabServerApp", "JupyterApp", "ExtensionApp"),
            *("JupyterNotebookApp", "ContentsManager", "FileContentsManager", "KernelManager"),
            *("LargeFileManager", "AsyncFileContentsManager", "MultiKernelManager"),
            *("MappingKernelManager", "AsyncMappingKernelManager", "KernelSpecManager"),
            *("TerminalManager", "TerminalsExtensionApp", "IdentityProvider", "SessionManager"),
            *("ResourceUseDisplay", "GitConfig", "JupyterLabGit", "CollaborationExtension"),
            *("YDocExtension", "ServerProxy", "HubAuth", "GatewayClient", "KernelRestarter"),
        ),
        SERVER_CONFIG,
    ),
    **dict.fromkeys(
        (
            "IPKernelApp",
            "InteractiveShell",
            "InteractiveShellApp",
            "InlineBackend",
            "IPythonKernel",
        ),
        KERNEL_CONFIG,
    ),
}


def find_reserved_traits(
    c: Mapping[str, Any],
    ours: Mapping[str, Mapping[str, Any]],
    drop_ins: DropIns,
    changes: Changes,
) -> Iterator[Finding]:
    """Yield a finding for each trait that only tljh may set, and a drop-in or plugin changed."""
    for section in c:
        for trait, value in c[section].items():
            refusal = find_refused_in_drop_ins(section, trait)
            if refusal is None or value is None or is_only_read(value):
                continue
            if value != ours.get(section, {}).get(trait):
                place = find_change(drop_ins, changes, f"{section}.{trait}")
                source = "a drop-in" if place else "a plugin"
                yield Finding(
                    f"{source} sets {section}.{trait}, which cannot be set there",
                    place,
                    refusal.why,
                    refusal.fix,
                )


def find_unknown_sections(
    known_sections: Iterable[str], drop_ins: DropIns, changes: Changes
) -> Iterator[Finding]:
    """Yield a warning for each section of a drop-in that no class of the hub has."""
    names = sorted(set(known_sections))
    for section, place in _find_first_changes(drop_ins, changes).items():
        if section in names:
            continue
        near = get_close_matches(section, names, 1, cutoff=0.8)
        if section in PLACES:
            fix = f"settings of users' servers belong in {PLACES[section]}"
        elif near:
            fix = f"did you mean c.{near[0]}?"
        else:
            fix = (
                "remove it, or add the package that has it: sudo tljh-config add-item hub.packages"
            )
        yield Finding(f"the hub has no class {section}: c.{section} does nothing", place, fix=fix)


def _find_first_changes(drop_ins: DropIns, changes: Changes) -> dict[str, Place | None]:
    """Return the place of the first change of each section that drop-ins changed, by its name."""
    places: dict[str, Place | None] = {}
    for key in sorted(changes):
        section = key.partition(".")[0]
        place = find_change(drop_ins, changes, key)
        earlier = places.get(section)
        if earlier is None or (place and (place.line or 0) < (earlier.line or 0)):
            places[section] = place
    return places


@dataclass(frozen=True)
class ClassesInUse:
    """The classes that the hub loads, and those that it could load in place of them.

    `bases` has the names of the bases of each class that is installed, `chosen` the name of the
    class in use by its family, such as Spawner.
    """

    in_use: frozenset[str]
    bases: Mapping[str, Sequence[str]]
    chosen: Mapping[str, str]

    def find_family(self, section: str) -> str | None:
        """Return the family of a class that is installed and not in use; None for others."""
        if section in self.in_use or section not in self.bases:
            return None
        return next((name for name in self.chosen if name in self.bases[section]), None)


CHOICES = {
    "Authenticator": "auth.type",
    "Spawner": "JupyterHub.spawner_class",
    "Proxy": "JupyterHub.proxy_class",
}


def find_unused_sections(
    classes: ClassesInUse, drop_ins: DropIns, changes: Changes, config_file: tuple[Path, str]
) -> Iterator[Finding]:
    """Yield a warning for each section of a class that is installed and that the hub does not use.

    `config_file` is config.yaml with its text.
    """
    places = _find_first_changes(drop_ins, changes)
    path, text = config_file
    for match in re.finditer(r"""^\s*["']?([A-Z]\w+)["']?\s*:""", text, re.MULTILINE):
        line = text.count("\n", 0, match.start(1)) + 1
        places.setdefault(match[1], Place(str(path), line))
    for section, place in sorted(places.items()):
        family = classes.find_family(section)
        if family is not None:
            choice = CHOICES[family]
            yield Finding(
                f"the section {section} does nothing: the hub uses {classes.chosen[family]}",
                place,
                f"{choice} chooses the class; a section counts for its class and those made of it",
                f"remove it, or choose the class: sudo tljh-config describe {quote(choice)}",
            )


def report_emptied(
    emptied: Iterable[EmptiedTrait], drop_ins: DropIns, changes: Changes
) -> Iterator[Finding]:
    """Yield a warning for each of tljh's lists and maps that a drop-in or plugin emptied."""
    for each in emptied:
        key = f"{each.section}.{each.trait}"
        yield Finding(
            f"{key} is empty",
            find_change(drop_ins, changes, key),
            f"so {each.consequence}",
            "remove the line, if that is not intended; other values are added to those of tljh",
        )
