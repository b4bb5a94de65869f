"""Snapshots around `sudo pip install`: a plugin of the user environment's Python.

A `.pth` file is read by every Python of the environment, whatever program starts it and by which
path. Its line costs other programs a comparison; where root runs pip, it runs the program
`tljh/conda/worker/record_pip.py`.
"""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda import worker
from tljh.engine.file_resources import read_image, restore_image
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.interface import Host, HostReader

# `site` runs the lines of a .pth file that begin with `import`.
LINE = (
    "import os, sys; os.geteuid() == 0 "
    "and 'pip' in str(getattr(sys, 'orig_argv', sys.argv)[:4]) and os.path.exists({program!r}) "
    "and __import__('runpy').run_path({program!r}, run_name='tljh_record_pip')"
    "  # Written by tljh\n"
)


@dataclass(frozen=True)
class PipPlugin(Resource):
    """The plugin's program, and a `.pth` file in each Python library of the user environment."""

    paths: Paths
    sources: tuple[Resource, ...] = ()

    kind: ClassVar[str] = "pip-plugin"
    stage: ClassVar[Stage] = Stage.ENVIRONMENTS

    @property
    def name(self) -> str:
        return str(self.paths.pip_plugin)

    def difference(self, host: HostReader) -> Difference | None:
        stale = any(host.read(path) != data for path, data in self._files(host).items())
        return Difference("~", "snapshots around sudo pip") if stale else None

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        """Plan the files again where the environment changes: its Python may be another then."""
        difference = self.difference(host)
        if difference is None and any(source.key in changed for source in self.sources):
            difference = Difference("~", "snapshots around sudo pip")
        return (PipPlugin(self.paths), difference) if difference else None

    def before(self, host: HostReader) -> Record:
        return {"files": [read_image(host, path) for path in self._files(host)]}

    def apply(self, host: Host, progress: Progress) -> None:
        for path, data in self._files(host).items():
            for directory in reversed(path.parents):
                if host.info(directory) is None:
                    host.mkdir(directory, mode=0o755)
            if host.read(path) != data:
                host.write(path, data, mode=0o644)

    def list_files(self, host: HostReader) -> list[Path]:
        """Return the paths of its files."""
        return list(self._files(host))

    def _files(self, host: HostReader) -> dict[Path, bytes]:
        program = Path(worker.__file__).with_name("record_pip.py")
        line = LINE.format(program=str(self.paths.pip_plugin)).encode()
        files = {self.paths.pip_plugin: host.read(program) or b""}
        for library in host.listdir(self.paths.user / "lib"):
            if re.fullmatch(r"python3\.\d+", library):
                place = self.paths.user / "lib" / library / "site-packages"
                if host.info(place) is not None:
                    files[place / "tljh-snapshots.pth"] = line
        return files

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for image in record["files"]:
            restore_image(host, image)
