"""The container engine of this computer, and whether it can boot systemd.

Nothing is assumed about the computer: cgroup version, runtime, hard limits and
privileges are looked up, and what is missing is said in one sentence.
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
    """No machine can be booted here; the text is one sentence that says what is missing."""


def say(text: str) -> None:
    """Tell the person who waits what the harness does on their computer."""
    print(f"machine: {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Engine:
    """podman or docker, with the options that this computer needs."""

    kind: str
    command: tuple[str, ...]
    cgroup_version: int
    # Containers of a computer without CAP_SYS_RESOURCE can't exceed its own hard
    # limits, and the engines' defaults do: so they are always stated.
    ulimits: tuple[str, ...]

    def run(
        self, *args: str, check: bool = True, timeout_s: float | None = 300, **kwargs: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run the engine with `args`; output is captured as text."""
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
        """Options of `run` that let systemd be PID 1 with working limits."""
        options = ["--privileged", "--cgroupns=private", "--stop-signal=SIGRTMIN+3"]
        options += ["--tmpfs", "/run:rw,exec,nosuid,nodev", "--tmpfs", "/run/lock"]
        options += ["--env", f"container={self.kind}", "--pids-limit=-1"]
        for limit in self.ulimits:
            options += ["--ulimit", limit]
        if self.kind == "podman":
            # Its own systemd mode shows a container the root of this computer's v1
            # hierarchy `name=systemd`: machines then remove each other's directories in it.
            options.append("--systemd=false")
        if self.cgroup_version == 1:
            # systemd 257 refuses cgroup v1 without it; older ones don't look.
            options += ["--env", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
        return options


def cgroup_version(root: Path = CGROUPS) -> int:
    """2 where the unified hierarchy has the controllers, 1 for legacy and hybrid set-ups."""
    return 2 if (root / "cgroup.controllers").exists() else 1


def hard_limits(pid_max: Path = Path("/proc/sys/kernel/pid_max")) -> tuple[str, ...]:
    """The computer's own hard limits in the form of `--ulimit`."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    # podman lowers its own limit of processes to pid_max, and the container can't pass that.
    most = int(pid_max.read_text())
    processes = most if processes == resource.RLIM_INFINITY else min(processes, most)
    limits = [f"nproc={processes}:{processes}"]
    if files != resource.RLIM_INFINITY:
        limits.append(f"nofile={files}:{files}")
    return tuple(limits)


def may_install() -> bool:
    """Whether missing Debian packages can be installed by us."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def need_packages(programs: dict[str, str]) -> None:
    """Install the package of each program that isn't there: {program: Debian package}."""
    missing = sorted({package for program, package in programs.items() if not which(program)})
    if missing:
        install_packages(missing)


def install_packages(packages: list[str]) -> None:
    """Install Debian packages on this computer, and say so."""
    if not may_install():
        raise CannotBoot(
            f"{', '.join(packages)} must be installed for test machines "
            "(as root on Debian or Ubuntu it is installed for you)"
        )
    say(f"installing {', '.join(packages)} on this computer")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # apt-get update does not wait for another one, whatever it is told.
    with caches.making("packages"):
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
    """Like shutil.which, looking in sbin directories too."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    return shutil.which(program, path=path)


def docker_serves() -> bool:
    """Whether a docker daemon answers us."""
    if not which("docker"):
        return False
    asked = subprocess.run(
        ["docker", "info", "--format", "{{.ServerVersion}}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return asked.returncode == 0 and bool(asked.stdout.strip())


def choose(wanted: str | None) -> str:
    """podman or docker: the one asked for, else the one that is there, else podman."""
    if wanted not in (None, "", "podman", "docker"):
        raise CannotBoot(f"TLJH_MACHINE_ENGINE must be podman or docker, not {wanted}")
    if wanted:
        return wanted
    if which("podman") and os.geteuid() == 0:
        return "podman"
    return "docker" if docker_serves() else "podman"


def podman_command(version: int) -> tuple[str, ...]:
    """podman with a runtime that works with this computer's cgroups."""
    packages = {"podman": "podman", "iptables": "iptables"}
    if version == 1:
        # crun: 'cgroups in hybrid mode not supported, drop all controllers from cgroupv2'
        packages["runc"] = "runc"
    elif not which("crun"):
        packages["runc"] = "runc"
    need_packages(packages)
    runtime = ("--runtime", "runc") if "runc" in packages else ()
    return ("podman", *runtime, *renaming_directories())


def renaming_directories() -> tuple[str, ...]:
    """Options with which directories of an image can be renamed, as on a disk.

    Without redirect_dir, overlayfs refuses that with EXDEV.
    """
    form = "{{.Store.GraphDriverName}} {{.Store.GraphOptions}}"
    asked = subprocess.run(
        ["podman", "info", "--format", form],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    # A FUSE overlay has its own options, and other drivers have no overlay.
    if not asked.stdout.startswith("overlay ") or "mount_program" in asked.stdout:
        return ()
    return ("--storage-opt", "overlay.mountopt=nodev,redirect_dir=on")


def missing_privileges(capabilities: int) -> Iterable[str]:
    """Names of capabilities that a systemd container needs and this process lacks."""
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
    """The engine to use here; CannotBoot says in a sentence why there is none."""
    if sys.platform != "linux":
        raise CannotBoot("machines need Linux with podman or docker (here: a Linux VM would do)")
    kind = choose(os.environ.get("TLJH_MACHINE_ENGINE"))
    version = cgroup_version()
    if kind == "podman":
        if os.geteuid() != 0:
            raise CannotBoot("machines need root for podman: run it with sudo")
        missing = list(missing_privileges(effective_capabilities()))
        if missing:
            raise CannotBoot(f"machines need a privileged root, and this one has no {missing[0]}")
        command = podman_command(version)
    else:
        if not docker_serves():
            raise CannotBoot("no docker daemon answers `docker info`, and no podman is here")
        command = ("docker",)
    return Engine(kind, command, version, hard_limits())
