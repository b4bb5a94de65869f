"""The machines that a bundle can be made for, and which packages fit them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass

from tljh.base.errors import Exit, TljhError

# Debian's names of the architectures.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}
CONDA_PLATFORMS = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}

_DEBIAN = "http://deb.debian.org/debian"
_UBUNTU = "http://archive.ubuntu.com/ubuntu"
# Ubuntu has other processors than x86_64 elsewhere.
_UBUNTU_PORTS = "http://ports.ubuntu.com/ubuntu-ports"


@dataclass(frozen=True)
class Distribution:
    """A release of Debian or Ubuntu: its code name, and its versions of Python, glibc and Linux."""

    name: str
    suite: str
    python: str
    glibc: str
    linux: str

    @property
    def id(self) -> str:
        return "debian" if self.name.startswith("debian") else "ubuntu"


DISTRIBUTIONS = {
    each.name: each
    for each in (
        Distribution("debian12", "bookworm", "3.11", "2.36", "6.1"),
        Distribution("debian13", "trixie", "3.13", "2.41", "6.12"),
        Distribution("ubuntu22.04", "jammy", "3.10", "2.35", "5.15"),
        Distribution("ubuntu24.04", "noble", "3.12", "2.39", "6.8"),
        Distribution("ubuntu26.04", "resolute", "3.14", "2.43", "7.0"),
    )
}


@dataclass(frozen=True)
class BundleTarget:
    """The kind of machine that a bundle is for."""

    distribution: Distribution
    architecture: str

    @property
    def debian_architecture(self) -> str:
        return ARCHITECTURES[self.architecture]

    @property
    def conda_platform(self) -> str:
        return CONDA_PLATFORMS[self.architecture]

    @property
    def wheel_platforms(self) -> list[str]:
        """The platform tags of wheels that run there, the newest first."""
        major, minor = self.distribution.glibc.split(".")
        newer = [
            f"manylinux_{major}_{each}_{self.architecture}" for each in range(int(minor), 16, -1)
        ]
        older = ["manylinux2014"]
        if self.architecture == "x86_64":
            newer += [f"manylinux_2_{each}_x86_64" for each in range(16, 4, -1)]
            older += ["manylinux2010", "manylinux1"]
        names = [f"{name}_{self.architecture}" for name in older]
        return [*newer, *names, f"linux_{self.architecture}"]

    @property
    def markers(self) -> dict[str, str]:
        """The values of environment markers (PEP 508) there."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.distribution.python}.0",
            "os_name": "posix",
            "platform_machine": self.architecture,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.distribution.python}.0",
            "python_version": self.distribution.python,
            "sys_platform": "linux",
            "extra": "",
        }

    @property
    def virtual_packages(self) -> Mapping[str, str]:
        """What conda's solver knows of the machine itself."""
        archspec = {"x86_64": "x86_64", "aarch64": "aarch64"}[self.architecture]
        return {
            "__unix": "0=0",
            "__linux": f"{self.distribution.linux}=0",
            "__glibc": f"{self.distribution.glibc}=0",
            "__archspec": f"1={archspec}",
        }


def list_apt_sources(target: BundleTarget, mirror: str | None) -> str:
    """Return sources.list for a machine of another kind than this one."""
    distribution = target.distribution
    if distribution.id == "debian":
        main = mirror or _DEBIAN
        security = main.removesuffix("/debian") + "/debian-security"
        components = "main"
    else:
        main = mirror or (_UBUNTU if target.architecture == "x86_64" else _UBUNTU_PORTS)
        security = main
        components = "main universe"
    signed = f"[signed-by={find_keyring(target)}]"
    suite = distribution.suite
    return (
        f"deb {signed} {main} {suite} {components}\n"
        f"deb {signed} {main} {suite}-updates {components}\n"
        f"deb {signed} {security} {suite}-security {components}\n"
    )


def find_keyring(target: BundleTarget) -> str:
    """Return the path of the keys by which the archive of a distribution is signed."""
    return f"/usr/share/keyrings/{target.distribution.id}-archive-keyring.gpg"


def choose_target(architecture: str | None, distribution: str | None) -> BundleTarget:
    """Return the kind of machine that options name; without them, the kind of this machine.

    Raises TljhError (usage) for one that no bundle can be made for.
    """
    own = platform.machine()
    machine = _ALIASES.get(architecture or own, architecture or own)
    if machine not in ARCHITECTURES:
        raise TljhError(
            f"no bundle can be made for the processor architecture {machine}",
            fix=f"choose one with --architecture: {', '.join(ARCHITECTURES)}",
            exit_code=Exit.USAGE,
        )
    name = (distribution or read_own_distribution()).lower().replace(" ", "").replace("-", "")
    by_suite = {each.suite: each for each in DISTRIBUTIONS.values()}
    chosen = DISTRIBUTIONS.get(name) or by_suite.get(name)
    if chosen is None:
        raise TljhError(
            f"no bundle can be made for the distribution {name}",
            fix=f"choose one with --distribution: {', '.join(DISTRIBUTIONS)}",
            exit_code=Exit.USAGE,
        )
    return BundleTarget(chosen, machine)


def read_own_distribution() -> str:
    """Return the name of this machine's release, like debian12."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "unknown"
    return f"{release.get('ID', '')}{release.get('VERSION_ID', '')}"
