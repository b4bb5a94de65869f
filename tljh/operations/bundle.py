"""Making a bundle: the packages of an installation, fetched for this or another kind of machine."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tljh import __version__
from tljh.base.apt_packages import APT_PACKAGES
from tljh.base.bundles import APT, BOOTSTRAP, CHANNEL, WHEELS, Manifest
from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.package_indexes import SOURCE_ONLY
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda.channel_copy import ChannelCopy, copy_channel
from tljh.host import apt
from tljh.host.bundle_archive import list_files, scratch_directory, write_bundle
from tljh.host.interface import DIES_WITH_US, Host
from tljh.operations.bundle_target import (
    BundleTarget,
    find_keyring,
    list_apt_sources,
    read_own_distribution,
)
from tljh.operations.installed_environment import PackageSources
from tljh.settings.package_variables import read_package_variables

if TYPE_CHECKING:
    pass

DOWNLOAD_TIMEOUT_S = 3600
# What commands of a hub without a network may install later: the program of backups.
LATER_PACKAGES = ("restic",)
_SCRATCH = "tljh-bundle-"
_LOCK_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class BundleRequest:
    """What a bundle is for, and what it has in addition to what a hub needs."""

    path: Path
    target: BundleTarget
    packages: tuple[str, ...] = ()
    pip_packages: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    apt_mirror: str | None = None


@dataclass(frozen=True)
class MadeBundle:
    """A bundle that was written, and the sha256 of the file."""

    path: Path
    manifest: Manifest
    sha256: str
    bytes: int


def create_bundle(
    host: Host,
    paths: Paths,
    request: BundleRequest,
    sources: PackageSources,
    progress: Progress,
) -> MadeBundle:
    """Fetch all packages and write the bundle. Raises TljhError with what cannot be fetched."""
    bootstrap = host.read(paths.hub_files.bootstrap)
    if bootstrap is None:
        raise TljhError(
            "only a hub that its bootstrap has installed makes bundles",
            why=f"there is no {paths.hub_files.bootstrap}",
        )
    lock = read_carried_lock(bootstrap)
    with (
        host.lock(Paths.bundle_lock, timeout_s=_LOCK_TIMEOUT_S),
        scratch_directory(paths.cache, _SCRATCH) as scratch,
    ):
        content = scratch / "content"
        host.mkdir(content, mode=0o755)
        host.write(content / BOOTSTRAP, bootstrap, mode=0o644)
        # What fails soonest comes first.
        with progress.step("conda packages"):
            copy = ChannelCopy(
                sources.channels,
                sources.required,
                request.packages,
                request.target.conda_platform,
                request.target.virtual_packages,
            )
            host.mkdir(content / CHANNEL, mode=0o755)
            copy_channel(host, paths, copy, content / CHANNEL, progress)
        with progress.step("Debian packages"):
            _fetch_debian_packages(host, paths, request, scratch / "apt", content / APT, progress)
        with progress.step("wheels of the hub"):
            _fetch_wheels(host, paths, request, lock, scratch, content / WHEELS)
        with progress.step(f"write {request.path}"):
            manifest = Manifest(
                version=__version__,
                lock_sha256=hashlib.sha256(lock.encode()).hexdigest(),
                architecture=request.target.architecture,
                distribution=request.target.distribution.name,
                created=get_utc_time().strftime("%Y-%m-%dT%H:%M:%SZ"),
                files=list_files(content),
                packages=request.packages,
                pip_packages=request.pip_packages,
            )
            sha256 = write_bundle(request.path, manifest, content)
    info = host.info(request.path)
    return MadeBundle(request.path, manifest, sha256, info.size_bytes if info else 0)


def read_carried_lock(bootstrap: bytes) -> str:
    """Return the lock of hub environments that a self-contained bootstrap carries."""
    match = re.search(r'\n *start\(""".*\n([A-Za-z0-9+/=\s]+)"""\)\n$', bootstrap.decode())
    if match is None:
        raise TljhError("the bootstrap of this hub carries no packages")
    with zipfile.ZipFile(io.BytesIO(base64.b64decode("".join(match[1].split())))) as archive:
        return archive.read("carried/hub.lock").decode()


# -- wheels ---------------------------------------------------------------------------------------


def select_for_target(lock: str, target: BundleTarget) -> str:
    """Return the entries of a lock whose markers hold on the target, without the markers.

    pip evaluates markers for the Python that it runs on.
    """
    from packaging.markers import Marker

    chosen = []
    for entry in lock.replace("\\\n", " ").splitlines():
        requirement, *hashes = re.split(r"\s+(?=--hash=)", entry.strip())
        if not requirement or requirement.startswith("#"):
            continue
        name, _, marker = (part.strip() for part in requirement.partition(";"))
        if not marker or Marker(marker).evaluate(target.markers):
            chosen.append(" ".join([name, *hashes]))
    return "".join(f"{line}\n" for line in chosen)


def _fetch_wheels(
    host: Host, paths: Paths, request: BundleRequest, lock: str, scratch: Path, directory: Path
) -> None:
    selected = select_for_target(lock, request.target)
    host.write(scratch / "hub.lock", selected.encode(), mode=0o600)
    host.mkdir(directory, mode=0o755)
    options = ["--no-deps", "--require-hashes", "-r", str(scratch / "hub.lock")]
    # Of the one package without a wheel, pip asks its build backend, with what is installed here.
    options += ["--only-binary", ":all:", "--no-binary", SOURCE_ONLY, "--no-build-isolation"]
    _run_pip(host, paths, request, directory, options, "the hub's packages")
    binary = ["--only-binary", ":all:"]
    if request.plugins:
        constraints = re.sub(r" --hash=\S+", "", selected)
        host.write(scratch / "constraints.txt", constraints.encode(), mode=0o600)
        options = [*binary, "-c", str(scratch / "constraints.txt"), "--", *request.plugins]
        _run_pip(host, paths, request, directory, options, "the plugins")
    if request.pip_packages:
        options = [*binary, "--", *request.pip_packages]
        _run_pip(host, paths, request, directory, options, "the packages of --pip")


def _run_pip(
    host: Host,
    paths: Paths,
    request: BundleRequest,
    directory: Path,
    options: Sequence[str],
    what: str,
) -> None:
    target = request.target
    platforms = [word for name in target.wheel_platforms for word in ("--platform", name)]
    python = ["--implementation", "cp", "--python-version", target.distribution.python]
    command = [sys.executable, "-I", "-m", "pip", "download", "--quiet", "--no-input"]
    result = host.run(
        [*DIES_WITH_US, *command, "-d", str(directory), *platforms, *python, *options],
        timeout_s=DOWNLOAD_TIMEOUT_S,
        env={
            **read_package_variables(host, paths),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_ROOT_USER_ACTION": "ignore",
        },
    )
    if not result.ok:
        raise TljhError(
            f"{what} could not be fetched for {target.distribution.name} on {target.architecture}",
            why="\n".join((result.err or result.out).strip().splitlines()[-8:]),
            fix="correct what pip reports, then run the command again",
        )


# -- Debian packages ------------------------------------------------------------------------------


def _fetch_debian_packages(
    host: Host,
    paths: Paths,
    request: BundleRequest,
    scratch: Path,
    directory: Path,
    progress: Progress,
) -> None:
    """Download the packages with everything that they depend on, and describe them for apt."""
    target = request.target
    is_own = target.distribution.name == read_own_distribution()
    source: str | None = None
    if not is_own or request.apt_mirror:
        keyring = find_keyring(target)
        if host.info(Path(keyring), follow=True) is None:
            raise TljhError(
                f"the keys of {target.distribution.id}'s packages are not on this machine",
                why=f"there is no {keyring}",
                fix="install the package with them (debian-archive-keyring, "
                "ubuntu-archive-keyring or ubuntu-keyring), or copy the file from a machine with "
                f"{target.distribution.name}",
            )
        source = list_apt_sources(target, request.apt_mirror)
    names = (*APT_PACKAGES, *LATER_PACKAGES)
    files = apt.download_all(
        host,
        apt.DownloadRequest(
            names, target.debian_architecture, scratch, source, read_package_variables(host, paths)
        ),
        progress,
    )
    host.mkdir(directory, mode=0o755)
    stanzas = []
    for file in files:
        fields = host.query(["dpkg-deb", "-f", str(file)])
        if not fields.ok:
            raise TljhError(f"{file.name} is no Debian package", why=fields.err.strip())
        host.rename(file, directory / file.name)
        stanzas.append((file.name, fields.out.strip()))
    listed = list_files(directory.parent)
    text = "".join(
        f"{control}\nFilename: ./{name}\nSize: {listed[f'{APT}/{name}'].bytes}\n"
        f"SHA256: {listed[f'{APT}/{name}'].sha256}\n\n"
        for name, control in stanzas
    )
    host.write(directory / "Packages", text.encode(), mode=0o644)
