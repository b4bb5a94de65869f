"""`tljh bundle`: all packages of an installation in one file, for machines without a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

from tljh.base.bundles import BOOTSTRAP
from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.commands.parameters import Argument, Option, choose_progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations.bundle import BundleRequest, MadeBundle, create_bundle
from tljh.operations.bundle_target import choose_target
from tljh.operations.installed_environment import read_sources


@dataclass(frozen=True)
class PrintedBundle:
    """What is in a new bundle, and how it is used."""

    bundle: MadeBundle

    def as_json(self) -> dict[str, Any]:
        manifest = self.bundle.manifest
        return {
            "file": str(self.bundle.path),
            "sha256": self.bundle.sha256,
            "bytes": self.bundle.bytes,
            "version": manifest.version,
            "distribution": manifest.distribution,
            "architecture": manifest.architecture,
            "files": len(manifest.files),
        }

    def as_text(self) -> str:
        name = quote(self.bundle.path.name)
        return "\n".join(
            [
                f"{self.bundle.path}: {self.bundle.manifest}",
                f"sha256: {self.bundle.sha256}",
                "On a machine without a network, with this file alone:",
                f"  tar -xf {name} {BOOTSTRAP}",
                f"  sudo python3 {BOOTSTRAP} --bundle {name} --admin NAME",
            ]
        )


def create(
    file: Annotated[str, Argument("FILE", "The bundle to write.")],
    *,
    architecture: Annotated[
        str | None, Option("--architecture", "x86_64 or aarch64; this machine's without it.")
    ] = None,
    distribution: Annotated[
        str | None,
        Option("--distribution", "Such as debian13 or ubuntu24.04; this machine's without it."),
    ] = None,
    package: Annotated[
        list[str] | None, Option("--package", "A further conda package; may be repeated.", "SPEC")
    ] = None,
    pip: Annotated[
        list[str] | None, Option("--pip", "A further package of PyPI; may be repeated.", "SPEC")
    ] = None,
    plugin: Annotated[
        list[str] | None, Option("--plugin", "A plugin for the hub; may be repeated.", "SPEC")
    ] = None,
    apt_mirror: Annotated[
        str | None, Option("--apt-mirror", "Where another distribution's packages are.", "URL")
    ] = None,
    as_json: bool = False,
) -> PrintedBundle:
    """Write a file with all that an installation needs, for machines without a network."""
    target = choose_target(architecture, distribution)
    path = Path(file).absolute()
    if not path.parent.is_dir() or path.is_dir():
        raise TljhError(
            f"{path} cannot be written",
            why="it is a directory" if path.is_dir() else f"there is no directory {path.parent}",
            exit_code=Exit.USAGE,
        )
    host, paths = RealHost(), get_paths()
    request = BundleRequest(
        path,
        target,
        packages=tuple(package or ()),
        pip_packages=tuple(pip or ()),
        plugins=tuple(plugin or ()),
        apt_mirror=apt_mirror,
    )
    sources = read_sources(host, paths)
    progress = choose_progress_on_stderr(as_json)
    return PrintedBundle(create_bundle(host, paths, request, sources, progress))
