"""Installation of Debian packages, with patience for locks, downloads and an interrupted dpkg."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tljh.base.bundles import APT, VARIABLE
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.host.interface import Host, HostReader, Result

# Unattended upgrades hold the lock for minutes after the first boot of a cloud image.
LOCK_TIMEOUT_S = 300


_OPTIONS = (
    "-q",
    "-y",
    "--no-install-recommends",
    "-o",
    f"DPkg::Lock::Timeout={LOCK_TIMEOUT_S}",
    "-o",
    "Dpkg::Options::=--force-confold",
    "-o",
    "Dpkg::Use-Pty=0",
)


_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l", "LC_ALL": "C.UTF-8"}

# "E: Could not get lock FILE. It is held by process 712 (apt-get)"
_LOCKED = re.compile(r"Could not get lock(?:.*held by ((?:process )?\d+ \(.*?\)))?")

_UNKNOWN = "Unable to locate package"
_POLL_S = 2
DOWNLOAD_ATTEMPTS = 4

# Our packages are 15 MB, the package lists 10 to 30 MB.
DOWNLOAD_TIMEOUT_S = 240

REFRESH_TIMEOUT_S = 120


# Logins of apt's own configuration, which come before those of ours.
_LOGINS = Path("/etc/apt/auth.conf")

# The line of sources.list for the packages of a bundle, which the bootstrap has checked.
_BUNDLE_SOURCE = "deb [trusted=yes] file:{directory} ./\n"


@dataclass(frozen=True)
class AptSources:
    """How apt reaches its packages: options for its command line, and variables, which may have
    secrets."""

    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_sources(host: HostReader, variables: Mapping[str, str]) -> AptSources:
    """Return the variables of packages in apt's terms: proxy, CAs and logins.

    Proxies in apt's own configuration win.
    """
    proxies = {
        name: value
        for name, value in variables.items()
        if name in ("http_proxy", "https_proxy", "no_proxy")
    }
    options = []
    if variables.get("SSL_CERT_FILE"):
        options += ["-o", f"Acquire::https::CaInfo={variables['SSL_CERT_FILE']}"]
    if variables.get("NETRC") and host.info(_LOGINS) is None:
        options += ["-o", f"Dir::Etc::netrc={variables['NETRC']}"]
    return AptSources(tuple(options), proxies)


def refresh(host: Host, variables: Mapping[str, str], timeout_s: float) -> Result:
    """Fetch the package lists, by the variables of packages."""
    sources = read_sources(host, variables)
    return host.run(
        ["apt-get", "update", "-qq", *sources.options], timeout_s=timeout_s, env=sources.variables
    )


def _use_bundle(
    host: Host, packages: Sequence[str], variables: Mapping[str, str]
) -> AptSources | None:
    """Make an unpacked bundle apt's only source; None where it lacks one of the packages."""
    directory = Path(variables[VARIABLE]) / APT
    index = (host.read(directory / "Packages") or b"").decode(errors="replace")
    offered = set(re.findall(r"^Package: (\S+)$", index, re.MULTILINE))
    if not set(packages) <= offered:
        return None
    host.mkdir(Paths.bundle_lists, mode=0o755)
    source = _BUNDLE_SOURCE.format(directory=directory)
    host.write(Paths.bundle_source, source.encode(), mode=0o644)
    settings = (
        f"Dir::Etc::SourceList={Paths.bundle_source}",
        "Dir::Etc::SourceParts=/dev/null",
        f"Dir::State::Lists={Paths.bundle_lists}",
        # apt's own caches stay as they are.
        *("Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache="),
    )
    return AptSources(tuple(word for setting in settings for word in ("-o", setting)))


def _run_apt_get(
    host: Host, progress: Progress, sources: AptSources, timeout_s: float, *arguments: str
) -> Result:
    """Run apt-get, and wait while another process holds one of its locks.

    The exit code is 124 if it did not end within `timeout_s`. Raises TljhError if a lock is held
    for LOCK_TIMEOUT_S.
    """
    # DPkg::Lock::Timeout covers dpkg's own locks only: on the lock of the package lists or of the
    # downloaded archives, apt-get of Debian 12 and 13 fails at once. So we retry those.
    deadline_s = host.monotonic_s() + LOCK_TIMEOUT_S
    is_reported = False
    while True:
        try:
            result = host.run(
                ["apt-get", *_OPTIONS, *sources.options, *arguments],
                timeout_s=timeout_s,
                env={**_ENVIRONMENT, **sources.variables},
            )
        except TljhError as error:
            return Result(124, "", str(error))
        locked = None if result.ok else _LOCKED.search(result.err)
        if not locked:
            return result
        holder = locked[1] or "another program"
        if host.monotonic_s() > deadline_s:
            raise TljhError(
                f"{holder} has held the package manager for {LOCK_TIMEOUT_S / 60:.0f} minutes",
                why=result.err.strip(),
                fix="wait until it has ended, or stop it; then run the command again",
            )
        if not is_reported:
            progress.note(f"waiting for {holder}, which uses the package manager")
            is_reported = True
        host.pause(_POLL_S)


def _install_downloaded(host: Host, progress: Progress, packages: Sequence[str]) -> Result:
    timeout_s = LOCK_TIMEOUT_S + 900
    return _run_apt_get(
        host, progress, AptSources(), timeout_s, "--no-download", "install", *packages
    )


def _download(
    host: Host, progress: Progress, packages: Sequence[str], sources: AptSources
) -> Result:
    """Download packages with their dependencies; a retry resumes a partial download."""
    # When a connection breaks at a bad moment, apt-get of Debian 12 waits for ever without any
    # connection (15 of 32 runs through a proxy that cut after 3 MB on average). So every attempt
    # has a deadline.
    is_refreshed = False
    for _ in range(DOWNLOAD_ATTEMPTS):
        result = _run_apt_get(
            host, progress, sources, DOWNLOAD_TIMEOUT_S, "--download-only", "install", *packages
        )
        # An unknown name stays unknown once the lists are fresh.
        if result.ok or (is_refreshed and _UNKNOWN in result.err):
            break
        progress.note("refreshing the package lists")
        is_refreshed = _run_apt_get(host, progress, sources, REFRESH_TIMEOUT_S, "update").ok
    return result


def _install_from_bundle(
    host: Host, progress: Progress, packages: Sequence[str], bundle: AptSources
) -> Result:
    result = _run_apt_get(host, progress, bundle, REFRESH_TIMEOUT_S, "update")
    if result.ok:
        timeout_s = LOCK_TIMEOUT_S + 900
        result = _run_apt_get(host, progress, bundle, timeout_s, "install", *packages)
    return result


def install(
    host: Host,
    packages: Sequence[str],
    progress: Progress,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Install packages; refresh the package lists only if the installation fails without.

    `variables` are those by which packages are reached. Raises TljhError with the package
    manager's own message.
    """
    if not packages:
        return
    if host.query(["dpkg", "--audit"]).out.strip():
        progress.note("finishing an interrupted dpkg first")
        host.run(["dpkg", "--configure", "-a"], timeout_s=900, env=_ENVIRONMENT)
    variables = variables or {}
    bundle = _use_bundle(host, packages, variables) if VARIABLE in variables else None
    if bundle is not None:
        result = _install_from_bundle(host, progress, packages, bundle)
    else:
        # The bootstrap has usually downloaded the packages before.
        result = _install_downloaded(host, progress, packages)
        if not result.ok:
            result = _download(host, progress, packages, read_sources(host, variables))
            if result.ok:
                result = _install_downloaded(host, progress, packages)
    if not result.ok:
        raise TljhError(
            f"apt-get could not install {', '.join(packages)}",
            why="\n".join((result.err or result.out).strip().splitlines()[-8:]),
            fix="make a bundle of today's packages, and install from that: "
            "sudo tljh bundle create FILE"
            if bundle is not None
            else "get this to work, then run the command again: sudo apt-get install "
            f"{shlex.join(packages)}",
        )


@dataclass(frozen=True)
class DownloadRequest:
    """Packages of an architecture to download with all that they depend on.

    `directory` is for apt's state; `source` is a sources.list in the place of the machine's.
    """

    packages: tuple[str, ...]
    architecture: str
    directory: Path
    source: str | None
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)


def download_all(host: Host, request: DownloadRequest, progress: Progress) -> list[Path]:
    """Return the downloaded files, in a state of apt in which nothing is installed.

    Raises TljhError with apt-get's own message.
    """
    directory = request.directory
    for path in (directory, directory / "lists", directory / "archives"):
        host.mkdir(path, mode=0o755)
    host.write(directory / "status", b"", mode=0o644)
    settings = [
        f"Dir::State::status={directory}/status",
        f"Dir::State::Lists={directory}/lists",
        f"Dir::Cache={directory}",
        f"Dir::Cache::Archives={directory}/archives",
        f"APT::Architecture={request.architecture}",
        f"APT::Architectures={request.architecture}",
        # The directory is readable for root alone, and what is downloaded is not installed here.
        "APT::Sandbox::User=root",
    ]
    if request.source is not None:
        host.write(directory / "sources.list", request.source.encode(), mode=0o644)
        settings += [f"Dir::Etc::SourceList={directory}/sources.list"]
        settings += ["Dir::Etc::SourceParts=/dev/null"]
    reached = read_sources(host, request.variables)
    options = tuple(word for setting in settings for word in ("-o", setting))
    sources = AptSources((*options, *reached.options), reached.variables)
    result = _run_apt_get(host, progress, sources, DOWNLOAD_TIMEOUT_S, "update")
    for _ in range(DOWNLOAD_ATTEMPTS if result.ok else 0):
        arguments = ("--download-only", "install", *request.packages)
        result = _run_apt_get(host, progress, sources, DOWNLOAD_TIMEOUT_S, *arguments)
        if result.ok:
            break
    if not result.ok:
        raise TljhError(
            "the Debian packages could not be fetched",
            why="\n".join((result.err or result.out).strip().splitlines()[-8:]),
            fix="correct what apt-get reports, then run the command again",
        )
    names = host.listdir(directory / "archives")
    return [directory / "archives" / name for name in sorted(names) if name.endswith(".deb")]
