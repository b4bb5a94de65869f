"""A directory with plugins, and a Python that finds them: as a hub environment has them."""

from __future__ import annotations

import sys
from pathlib import Path


class PluginEnvironment:
    """A hub environment in a temporary directory, on the Python of the tests."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.library = path / "lib" / "python3.13" / "site-packages"
        self.library.mkdir(parents=True)
        (path / "bin").mkdir()
        python = path / "bin" / "python"
        # Without -I, which would ignore PYTHONPATH.
        python.write_text(
            f'#!/bin/sh\nshift\nPYTHONPATH={self.library}:{Path.cwd()} exec {sys.executable} "$@"\n'
        )
        python.chmod(0o755)

    def add(
        self, name: str, source: str, *, version: str = "1.0", requires: str | None = None
    ) -> Path:
        """Install a plugin of one module; return the module's file."""
        module = self.library / f"tljh_{name}.py"
        module.write_text(source)
        metadata = self.library / f"tljh_{name}-{version}.dist-info"
        metadata.mkdir(exist_ok=True)
        lines = ["Metadata-Version: 2.1", f"Name: tljh-{name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requires}"] if requires else []
        (metadata / "METADATA").write_text("\n".join(lines) + "\n")
        (metadata / "entry_points.txt").write_text(f"[tljh]\n{name} = tljh_{name}\n")
        (metadata / "RECORD").write_text(
            "".join(
                f"{metadata.name}/{file},,\n" for file in ("METADATA", "entry_points.txt", "RECORD")
            )
        )
        return module
