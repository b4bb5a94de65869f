"""Releases for tests of upgrades, made from this checkout with a few changes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from machine.image import CHECKOUT

# By file: text, and what replaces it.
Changes = Mapping[str, tuple[tuple[str, str], ...]]

RENAMED_SETTING: Changes = {
    "tljh/settings/sections/services.py": (("every: Seconds", "interval: Seconds"),),
    "tljh/hub/checks.py": (("cull.every", "cull.interval"),),
    "tljh/hub/configuration.py": (("{cull.every}", "{cull.interval}"),),
    "tljh/settings/migrations.py": (
        (
            "MIGRATIONS: tuple[Migration, ...] = ()",
            'MIGRATIONS: tuple[Migration, ...] = (Migration("0.2.0", ("services", "cull", "every"),'
            ' ("services", "cull", "interval")),)',
        ),
    ),
}
CHANGED_UNIT: Changes = {
    "tljh/systemd/jupyterhub.service.j2": (("[Service]\n", "[Service]\nEnvironment=NEW=yes\n"),)
}
BROKEN_SERVERS: Changes = {
    "tljh/hub/process/spawner.py": (
        (
            "    async def start(self) -> tuple[str, int]:\n",
            "    async def start(self) -> tuple[str, int]:\n"
            '        raise RuntimeError("no server starts with this release")\n',
        ),
    )
}


def build_release(directory: Path, version: str, *changes: Changes) -> Path:
    """Return the bootstrap.py of a release: this checkout with `changes` and another version."""
    tree = directory / f"tree-{version}"
    for name in ("installer", "tljh"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, tree / name, ignore=ignored)
    shutil.copy(CHECKOUT / "setup.cfg", tree)
    own: Changes = {"tljh/__init__.py": (('__version__ = "0.1.0"', f'__version__ = "{version}"'),)}
    for change in (own, *changes):
        for name, replacements in change.items():
            text = (tree / name).read_text()
            for old, new in replacements:
                assert old in text, f"{name} has no {old!r}"
                text = text.replace(old, new, 1)
            (tree / name).write_text(text)
    out = directory / version
    command = [sys.executable, str(tree / "installer" / "build.py"), "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return out / "bootstrap.py"
