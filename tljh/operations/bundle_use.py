"""A bundle as the only source of packages, for one change of the user environment."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tljh.base.bundles import (
    CHANNEL,
    Manifest,
    find_mismatches,
    make_bundle_variables,
    without_other_sources,
)
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.bundle_archive import scratch_directory, unpack_bundle
from tljh.host.command_environment import changed_environment
from tljh.host.interface import Host
from tljh.operations.bundle_target import read_own_distribution

_SCRATCH = "tljh-unpacked-"
_LOCK_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class UnpackedBundle:
    """The manifest of a bundle, and the channel in the directory that it was unpacked to."""

    manifest: Manifest
    channel: str


@contextmanager
def taking_packages_from(host: Host, paths: Paths, path: Path) -> Iterator[UnpackedBundle]:
    """Let pip and uv take packages from a bundle during the block; then remove its files.

    Raises TljhError for a bundle that is damaged, or for another kind of machine.
    """
    with (
        host.lock(Paths.bundle_lock, timeout_s=_LOCK_TIMEOUT_S),
        scratch_directory(paths.cache, _SCRATCH) as directory,
    ):
        manifest = unpack_bundle(path, directory)
        problems = find_mismatches(
            manifest,
            path,
            architecture=platform.machine(),
            distribution=read_own_distribution(),
        )
        if problems:
            raise TljhError(problems)
        variables = make_bundle_variables(directory)
        with changed_environment(variables, without_other_sources(os.environ)):
            yield UnpackedBundle(manifest, str(directory / CHANNEL))


def choose_specs(
    manifest: Manifest, path: Path, specs: Sequence[str], *, is_pip: bool
) -> list[str]:
    """Return what to install: `specs`, or the further packages that the bundle was made with."""
    chosen = [*(specs or (manifest.pip_packages if is_pip else manifest.packages))]
    if chosen:
        return chosen
    command = "sudo tljh env install --bundle FILE"
    fix = f"name packages that it has: {command} SPEC"
    if manifest.pip_packages and not is_pip:
        fix = f"install those of PyPI: {command} --pip"
    if manifest.packages and is_pip:
        fix = f"install those of conda: {command}"
    raise TljhError(
        f"{path} was made without further packages {'of PyPI' if is_pip else 'of conda'}", fix=fix
    )
