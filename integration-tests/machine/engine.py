"""The container engine of this computer, with the options that it needs to boot systemd.

Cgroup version, runtime, hard limits and privileges are read from the computer. What is missing
is reported in one sentence.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from machine import caches

CGROUPS = Path("/sys/fs/cgroup")


class CannotBoot(Exception):
    """No machine can be booted on this computer; the text names in a sentence what is missing."""


def report(text: str) -> None:
    """Print what the harness does on this computer."""
    print(f"machine: {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Engine:
    """podman or docker, with the options that this computer needs."""

    kind: str
    command: tuple[str, ...]
    cgroup_version: int
    # Without CAP_SYS_RESOURCE a container cannot exceed the computer's hard limits, and the
    # engines' defaults do. So the limits are always given.
    ulimits: tuple[str, ...]

    def run(
        self, *args: str, check: bool = True, timeout_s: float | None = 300, **kwargs: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run the engine with `args` and capture its output. Raises CannotBoot where it fails."""
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(
            [*self.command, *args],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            **kwargs,
        )
        if check and done.returncode != 0:
            tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
            raise CannotBoot(f"`{self.kind} {' '.join(args[:3])} …` failed: {tail}")
        return done

    def machine_options(self) -> list[str]:
        """Return the options of `run` with which systemd is PID 1 and its limits work."""
        options = ["--privileged", "--cgroupns=private", "--stop-signal=SIGRTMIN+3"]
        options += ["--tmpfs", "/run:rw,exec,nosuid,nodev", "--tmpfs", "/run/lock"]
        options += ["--env", f"container={self.kind}", "--pids-limit=-1"]
        for limit in self.ulimits:
            options += ["--ulimit", limit]
        if self.kind == "podman":
            # podman's systemd mode mounts the root of this computer's v1 hierarchy
            # `name=systemd` into every container, and machines remove each other's
            # directories there. So it is off.
            options.append("--systemd=false")
        if self.cgroup_version == 1:
            # systemd 257 refuses cgroup v1 without it; older versions ignore it.
            options += ["--env", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
        return options


def cgroup_version(root: Path = CGROUPS) -> int:
    """Return 2 if the unified hierarchy has controllers, 1 for legacy and hybrid set-ups."""
    return 2 if (root / "cgroup.controllers").exists() else 1


def hard_limits(pid_max: Path = Path("/proc/sys/kernel/pid_max")) -> tuple[str, ...]:
    """Return the computer's hard limits as arguments of `--ulimit`."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    # podman lowers its limit of processes to pid_max, and a container cannot exceed that.
    maximum = int(pid_max.read_text())
    processes = maximum if processes == resource.RLIM_INFINITY else min(processes, maximum)
    limits = [f"nproc={processes}:{processes}"]
    if files != resource.RLIM_INFINITY:
        limits.append(f"nofile={files}:{files}")
    return tuple(limits)


def may_install() -> bool:
    """Return whether this process can install Debian packages."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def need_packages(programs: dict[str, str]) -> None:
    """Install the package of each missing program: {program: Debian package}."""
    missing = sorted({package for program, package in programs.items() if not which(program)})
    if missing:
        install_packages(missing)


def install_packages(packages: list[str]) -> None:
    """Install Debian packages on this computer, and report it."""
    if not may_install():
        raise CannotBoot(
            f"{', '.join(packages)} must be installed for test machines "
            "(as root on Debian or Ubuntu it is installed for you)"
        )
    report(f"installing {', '.join(packages)} on this computer")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # apt-get update does not wait for another one, even with DPkg::Lock::Timeout.
    with caches.locked("packages"):
        for args in (["update", "-q"], ["install", "-qy", "--no-install-recommends", *packages]):
            done = subprocess.run(
                ["apt-get", "-o", "DPkg::Lock::Timeout=120", *args],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CannotBoot(f"{', '.join(packages)} could not be installed with apt-get: {last}")


def which(program: str) -> str | None:
    """Find a program in PATH or in an sbin directory."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    return shutil.which(program, path=path)


def docker_serves() -> bool:
    """Return whether a docker daemon answers."""
    if not which("docker"):
        return False
    done = subprocess.run(
        ["docker", "info", "--format", "{{.ServerVersion}}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return done.returncode == 0 and bool(done.stdout.strip())


def choose(requested: str | None) -> str:
    """Return `podman` or `docker`: as requested, else what is installed, else podman."""
    if requested not in (None, "", "podman", "docker"):
        raise CannotBoot(f"TLJH_MACHINE_ENGINE must be podman or docker, not {requested}")
    if requested:
        return requested
    if which("podman") and os.geteuid() == 0:
        return "podman"
    return "docker" if docker_serves() else "podman"


def podman_command(version: int) -> tuple[str, ...]:
    """Return the podman command with a runtime that works with this computer's cgroups."""
    packages = {"podman": "podman", "iptables": "iptables"}
    if version == 1:
        # crun fails: 'cgroups in hybrid mode not supported, drop all controllers from cgroupv2'.
        packages["runc"] = "runc"
    elif not which("crun"):
        packages["runc"] = "runc"
    need_packages(packages)
    runtime = ("--runtime", "runc") if "runc" in packages else ()
    return ("podman", *runtime, *overlay_options())


def overlay_options() -> tuple[str, ...]:
    """Return podman options with which directories of an image can be renamed, as on a disk.

    Without redirect_dir, overlayfs refuses that with EXDEV.
    """
    template = "{{.Store.GraphDriverName}} {{.Store.GraphOptions}}"
    done = subprocess.run(
        ["podman", "info", "--format", template],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    # Not for a FUSE overlay, which has other options, nor for drivers without overlayfs.
    if not done.stdout.startswith("overlay ") or "mount_program" in done.stdout:
        return ()
    return ("--storage-opt", "overlay.mountopt=nodev,redirect_dir=on")


def missing_privileges(capabilities: int) -> Iterable[str]:
    """Yield the capabilities that a systemd container needs and this process lacks."""
    for bit, name in ((21, "CAP_SYS_ADMIN"), (12, "CAP_NET_ADMIN"), (18, "CAP_SYS_CHROOT")):
        if not capabilities >> bit & 1:
            yield name


def effective_capabilities(status: Path = Path("/proc/self/status")) -> int:
    for line in status.read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


@lru_cache(maxsize=1)
def find_engine() -> Engine:
    """Return the engine of this computer. Raises CannotBoot with the reason where none works."""
    if sys.platform != "linux":
        raise CannotBoot("machines need Linux with podman or docker (a Linux VM would do)")
    kind = choose(os.environ.get("TLJH_MACHINE_ENGINE"))
    version = cgroup_version()
    if kind == "podman":
        if os.geteuid() != 0:
            raise CannotBoot("machines need root for podman: run it with sudo")
        missing = list(missing_privileges(effective_capabilities()))
        if missing:
            raise CannotBoot(f"machines need a root with {missing[0]}, which this one lacks")
        command = podman_command(version)
    else:
        if not docker_serves():
            raise CannotBoot("no docker daemon answers `docker info`, and podman is not installed")
        command = ("docker",)
    return Engine(kind, command, version, hard_limits())
