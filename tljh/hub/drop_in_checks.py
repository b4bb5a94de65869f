"""Faults of drop-ins that run: reserved traits, unknown sections, emptied lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from tljh.base.errors import Finding, Place
from tljh.hub.trait_layers import EmptiedTrait
from tljh.settings.hub_options import find_refused

DropIns = Sequence[tuple[Path, str]]

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
    c: Mapping[str, Any], ours: Mapping[str, Mapping[str, Any]], drop_ins: DropIns
) -> Iterator[Finding]:
    """Yield a finding for each trait that only tljh may set, and a drop-in or plugin changed."""
    for section in c:
        for trait, value in c[section].items():
            refusal = find_refused(section, trait)
            if refusal is None or refusal.drop_ins_may or value is None:
                continue
            if value != ours.get(section, {}).get(trait):
                place = find_place(drop_ins, f"{section}.{trait}")
                source = "a drop-in" if place else "a plugin"
                yield Finding(
                    f"{source} sets {section}.{trait}, which cannot be set there",
                    place,
                    refusal.why,
                    refusal.fix,
                )


def find_unknown_sections(
    c: Iterable[str], known_sections: Iterable[str], drop_ins: DropIns
) -> Iterator[Finding]:
    """Yield a warning for each section of a drop-in that no class of the hub has."""
    names = sorted(set(known_sections))
    for section in sorted(set(c) - set(names)):
        place = find_place(drop_ins, f"{section}.")
        if place is None:
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


def report_emptied(emptied: Iterable[EmptiedTrait], drop_ins: DropIns) -> Iterator[Finding]:
    """Yield a warning for each of tljh's lists and maps that a drop-in or plugin emptied."""
    for each in emptied:
        key = f"{each.section}.{each.trait}"
        yield Finding(
            f"{key} is empty",
            find_place(drop_ins, key),
            f"so {each.consequence}",
            "remove the line, if that is not intended; other values are added to those of tljh",
        )


def find_place(drop_ins: DropIns, text: str) -> Place | None:
    """Return file and line where a drop-in first has `text` outside a comment."""
    pattern = re.compile(rf"^[^#\n]*\b{re.escape(text)}", re.MULTILINE)
    for path, source in drop_ins:
        match = pattern.search(source)
        if match:
            return Place(str(path), source.count("\n", 0, match.end()) + 1)
    return None
