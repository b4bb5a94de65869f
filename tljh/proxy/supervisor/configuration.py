"""The files that one Traefik process starts with. Standard library only."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

from tljh.base.paths import Paths


class ConfigurationRefused(Exception):
    """A configuration that Traefik cannot serve. A Traefik that serves already is not affected."""


class Configuration:
    """Traefik's binary, its static file and its entry points, as they were at one moment.

    They are read once: a restart after a crash must not pick up edits that no reload has tried.
    """

    def __init__(self, traefik: Path, directory: Path) -> None:
        paths = Paths(traefik_dir=directory)
        try:
            self.static = paths.traefik_static.read_text(encoding="utf-8")
            self.entry_points: dict[str, str] = json.loads(
                paths.traefik_entry_points.read_text(encoding="utf-8")
            )
        except (OSError, ValueError) as problem:
            raise ConfigurationRefused(f"cannot read the configuration: {problem}") from problem
        # Resolved, so that a new binary behind the same link is a change.
        self.traefik = str(traefik.resolve())

    @property
    def digest(self) -> str:
        """Return what changes with the binary, the entry points or the static file."""
        text = "\0".join((self.traefik, json.dumps(self.entry_points), self.static))
        return f"{zlib.crc32(text.encode()):08x}"
