"""TLJH's names for Debian packages; the code is in `tljh.host.apt`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

KEYRINGS = Path("/etc/apt/trusted.gpg.d")
SOURCES = Path("/etc/apt/sources.list.d")


def trust_gpg_key(key: bytes) -> None:
    """Let apt trust a public key: the armored or binary text of an OpenPGP key."""
    import hashlib

    from tljh.host.real import RealHost

    # apt tells the two forms apart by the name.
    suffix = "asc" if key.lstrip().startswith(b"-----BEGIN") else "gpg"
    name = f"tljh-plugin-{hashlib.sha256(key).hexdigest()[:12]}.{suffix}"
    RealHost().write(KEYRINGS / name, key, mode=0o644)


def add_source(name: str, source_url: str, section: str) -> None:
    """Add a source of Debian packages for this release, and read its list of packages."""
    import platform

    from tljh.base.paths import get_paths
    from tljh.host.apt import refresh
    from tljh.host.real import RealHost
    from tljh.settings.package_variables import read_package_variables

    host = RealHost()
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    line = f"deb {source_url} {release} {section}\n".encode()
    path = SOURCES / f"{name}.list"
    if host.read(path) != line:
        host.write(path, line, mode=0o644)
        refresh(host, read_package_variables(host, get_paths()), 120)


def install_packages(packages: Sequence[str]) -> None:
    """Install Debian packages. Raises TljhError with apt-get's own message."""
    from tljh.base.paths import get_paths
    from tljh.base.progress import SilentProgress
    from tljh.host.apt import install
    from tljh.host.real import RealHost
    from tljh.settings.package_variables import read_package_variables

    host = RealHost()
    install(host, packages, SilentProgress(), read_package_variables(host, get_paths()))
