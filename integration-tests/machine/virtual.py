"""A machine in QEMU, for what a container lacks: cgroup v2, quotas, a true reboot.

Its disk is made with mmdebstrap. It runs under software emulation, about ten times as slow as a
container (TLJH_QEMU_ACCEL=kvm where KVM works): use it only where a container will not do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from machine import caches, owner
from machine.container import LIVE, CommandFailed, Result, checkout_archive, command_line
from machine.engine import CannotBoot, may_install, need_packages, report, which
from machine.image import (
    BASE_PACKAGES,
    RELEASES,
    Release,
    bootstrap,
    canonical,
    digest_of,
    release_of,
)
from machine.passthrough import apt_settings, certificates, registry_environment
from machine.tryout import free_port

PROGRAMS = {
    "qemu-img": "qemu-utils",
    "mmdebstrap": "mmdebstrap",
    "mkfs.ext4": "e2fsprogs",
    "ssh": "openssh-client",
}
VM_PACKAGES = "initramfs-tools openssh-server udev kmod e2fsprogs"
# The kernel of a VM, and what else the distribution's VMs have that changes how services run.
KERNELS = {"debian": "linux-image-cloud-{0}", "ubuntu": "linux-image-virtual apparmor"}
# Ubuntu's kernel for VMs has no quota module.
HAVE_QUOTAS = {"debian"}
# 75 s on two quiet emulated processors; 300 s were not enough on a busy computer.
BOOT_TIMEOUT_S = 900.0
DISK_SIZE = "12G"
OVERLAYS = "tljh-qemu-"
BINFMT = Path("/proc/sys/fs/binfmt_misc")

NETWORK = "[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\n"
# mmdebstrap runs it on the new tree, which is $1.
SETUP = (
    'echo machine > "$1/etc/hostname"; rm -f "$1/etc/machine-id"; : > "$1/etc/machine-id"; '
    'chroot "$1" systemctl enable -q systemd-networkd ssh; '
    'echo "/dev/vda / ext4 defaults 0 1" > "$1/etc/fstab"; '
    'chroot "$1" update-ca-certificates >/dev/null; '
    'echo "nameserver 10.0.2.3" > "$1/etc/resolv.conf"'
)
SETUP_QUOTAS = (
    'sed -i s/defaults/defaults,prjquota/ "$1/etc/fstab"; '
    # A root file system with quotas can't be mounted without it.
    'echo quota_v2 >> "$1/etc/initramfs-tools/modules"; chroot "$1" update-initramfs -u'
)


@dataclass(frozen=True)
class Architecture:
    """A processor architecture of QEMU, with its names in other tools."""

    name: str
    debian: str
    package: str
    machine: tuple[str, ...] = ()
    console: str = "ttyS0"

    @property
    def program(self) -> str:
        return f"qemu-system-{self.name}"


ARCHITECTURES = {
    "x86_64": Architecture("x86_64", "amd64", "qemu-system-x86"),
    "aarch64": Architecture("aarch64", "arm64", "qemu-system-arm", ("-M", "virt"), "ttyAMA0"),
}
OWN = os.uname().machine


@dataclass(frozen=True)
class Disk:
    """A prepared installation of a release, never written to: machines write to overlays."""

    directory: Path
    architecture: Architecture

    @property
    def image(self) -> Path:
        return self.directory / "disk.img"

    @property
    def key(self) -> Path:
        return self.directory / "key"


def ensure_disk(release_name: str, architecture: str = OWN) -> Disk:
    """Return the disk of a release; make it where it is missing."""
    if os.geteuid() != 0:
        raise CannotBoot("a QEMU machine's disk is made as root: run it with sudo")
    if architecture not in ARCHITECTURES:
        raise CannotBoot(f"QEMU machines have {' or '.join(ARCHITECTURES)}, not {architecture}")
    kind = ARCHITECTURES[architecture]
    programs = {**PROGRAMS, kind.program: kind.package}
    if not all(which(program) for program in programs) and not may_install():
        raise CannotBoot(f"a QEMU machine needs {kind.package}, qemu-utils and mmdebstrap")
    need_packages(programs)
    release = release_of(release_name)
    if release.suite is None:
        raise CannotBoot(f"a QEMU machine runs {', '.join(RELEASES)}, not {release_name}")
    kernel, setup = KERNELS[release.distribution], SETUP + SETUP_QUOTAS
    inputs = digest_of(BASE_PACKAGES, VM_PACKAGES, kernel, setup, NETWORK, str(certificates()))
    name = f"{canonical(release_name)}-{kind.debian}-{inputs}"
    disk = Disk(caches.directory() / "qemu" / name, kind)
    with caches.locked(name):
        if not disk.image.exists():
            report(f"making the disk of a QEMU machine of {release_name} for {architecture}")
            if architecture != OWN:
                run_programs_of(kind)
            make_disk(disk, release)
    return disk


def run_programs_of(architecture: Architecture, kernel: Path = BINFMT) -> None:
    """Let this computer run programs of another architecture: packages run scripts."""
    name = f"qemu-{architecture.name}"
    need_packages({f"{name}-static": "qemu-user-static", "arch-test": "arch-test"})
    if not (kernel / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "none", str(kernel)], check=True)
    if not (kernel / name).exists():
        # Where systemd runs, the package does this itself.
        rule = Path(f"/usr/lib/binfmt.d/{name}.conf").read_text()
        report(f"letting this computer run programs of {architecture.name} (until it reboots)")
        (kernel / "register").write_text(rule)


def make_disk(disk: Disk, release: Release) -> None:
    """Install a release with a kernel into a directory, and make a file system of it."""
    disk.directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=disk.directory.parent) as scratch:
        unfinished = Disk(Path(scratch) / "disk", disk.architecture)
        unfinished.directory.mkdir()
        ssh_keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(unfinished.key)]
        subprocess.run(ssh_keygen, check=True, stdin=subprocess.DEVNULL)
        files = Path(scratch) / "files"
        contents = {
            f"usr/local/share/ca-certificates/{name}": data for name, data in certificates().items()
        }
        contents["etc/apt/apt.conf.d/90-computer"] = apt_settings().encode()
        contents["etc/systemd/network/80-dhcp.network"] = NETWORK.encode()
        contents["root/.ssh/authorized_keys"] = unfinished.key.with_suffix(".pub").read_bytes()
        for name, data in contents.items():
            path = files / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (files / "root").chmod(0o700)
        (files / "root/.ssh").chmod(0o700)
        root = Path(scratch) / "root"
        hooks = [f"--customize-hook=sync-in {files} /", f"--customize-hook={SETUP}"]
        # Project quotas are added now: the root file system is never unmounted later.
        mkfs = [which("mkfs.ext4") or "mkfs.ext4", "-q"]
        if release.distribution in HAVE_QUOTAS:
            hooks.append(f"--customize-hook={SETUP_QUOTAS}")
            mkfs += ["-O", "quota,project", "-E", "quotatype=usrquota:prjquota"]
        debian = disk.architecture.debian
        kernel = KERNELS[release.distribution].format(debian)
        packages = f"{BASE_PACKAGES} {VM_PACKAGES} {kernel}".split()
        bootstrap(release, root, packages, [f"--architectures={debian}", *hooks])
        for kind in ("vmlinuz", "initrd.img"):
            newest = max((root / "boot").glob(f"{kind}-*"))
            shutil.copy(newest, unfinished.directory / kind)
        subprocess.run(["truncate", "-s", DISK_SIZE, str(unfinished.image)], check=True)
        subprocess.run([*mkfs, "-d", str(root), str(unfinished.image)], check=True)
        unfinished.directory.rename(disk.directory)


def remove_orphans(directory: Path = Path("/var/tmp")) -> None:
    """Remove the overlays of machines whose process has ended."""
    for path in directory.glob(f"{OVERLAYS}*"):
        if not owner.is_alive(path.name.removeprefix(OVERLAYS).partition("-")[0]):
            shutil.rmtree(path, ignore_errors=True)


@dataclass
class VirtualMachine:
    """A booted QEMU machine. Use as a context manager, or call `remove`."""

    disk: Disk
    directory: Path
    ssh_port: int
    ports: dict[int, int] = field(default_factory=dict)
    memory: str = "3G"
    environment: dict[str, str] = field(default_factory=registry_environment)
    boot_seconds: float = 0.0
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    def boot(
        cls,
        image: str = "debian12",
        ports: Mapping[int, int] | None = None,
        *,
        memory: str = "3G",
        architecture: str = OWN,
    ) -> VirtualMachine:
        """Boot a machine of a release; `ports` maps loopback ports to its own."""
        disk = ensure_disk(image, architecture)
        remove_orphans()
        directory = Path(tempfile.mkdtemp(prefix=f"{OVERLAYS}{owner.own_label()}-", dir="/var/tmp"))
        create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(disk.image)]
        subprocess.run([*create, str(directory / "overlay.qcow2")], check=True)
        machine = cls(disk, directory, free_port(20022), dict(ports or {}), memory)
        LIVE.append(machine)
        try:
            machine.start()
        except BaseException:
            machine.remove()
            raise
        return machine

    def start(self) -> None:
        forwards = {self.ssh_port: 22, **self.ports}
        network = "user,model=virtio-net-pci" + "".join(
            f",hostfwd=tcp:127.0.0.1:{outside}-:{inside}" for outside, inside in forwards.items()
        )
        # /dev/kvm may exist and not work (in a virtual machine it often hangs): only on request.
        with_kvm = os.environ.get("TLJH_QEMU_ACCEL") == "kvm"
        accel, cpu = ("kvm", "host") if with_kvm else ("tcg,thread=multi", "max")
        # QEMU ends with this process, even if this one is killed.
        command = ["setpriv", "--pdeathsig", "KILL"]
        kind = self.disk.architecture
        command += [kind.program, *kind.machine, "-accel", accel, "-cpu", cpu, "-smp", "2"]
        command += ["-m", self.memory, "-display", "none"]
        command += ["-kernel", str(self.disk.directory / "vmlinuz")]
        command += ["-initrd", str(self.disk.directory / "initrd.img")]
        command += ["-append", f"root=/dev/vda rw console={kind.console} net.ifnames=0 quiet"]
        command += ["-drive", f"file={self.directory}/overlay.qcow2,if=virtio,cache=unsafe"]
        command += ["-device", "virtio-rng-pci", "-nic", network]
        command += ["-serial", f"file:{self.directory}/console.log"]
        started = time.monotonic()
        with (self.directory / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.wait_until_up()
        self.boot_seconds = time.monotonic() - started

    def wait_until_up(self, timeout_s: float = BOOT_TIMEOUT_S, after: str = "") -> None:
        """Wait until systemd has started all units, in another boot than the boot id `after`."""
        deadline = time.monotonic() + timeout_s
        command = "cat /proc/sys/kernel/random/boot_id; systemctl is-system-running"
        while True:
            query = self._ssh(command, timeout_s=60)
            boot_id, _, state = query.stdout.strip().partition("\n")
            if state in ("running", "degraded") and boot_id != after:
                return
            if self._process is not None and self._process.poll() is not None:
                raise CannotBoot(f"QEMU ended: {(self.directory / 'qemu.log').read_text()}")
            if time.monotonic() > deadline:
                console = (self.directory / "console.log").read_text(errors="replace")[-2000:]
                raise CannotBoot(f"a QEMU machine did not come up: {state}\n{console}")
            time.sleep(0.5)

    def _ssh(
        self, command: str, input: str | bytes | None = None, timeout_s: float = 300
    ) -> subprocess.CompletedProcess[str]:
        options = ["-q", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-i", str(self.disk.key)]
        # No host key to compare: the machine was just made, and is on loopback.
        options += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        argv = ["ssh", *options, "-p", str(self.ssh_port), "root@127.0.0.1", command]
        data = input.encode() if isinstance(input, str) else input or b""
        try:
            done = subprocess.run(argv, input=data, capture_output=True, timeout=timeout_s)
        except subprocess.TimeoutExpired as late:
            return subprocess.CompletedProcess(argv, 255, "", str(late))
        texts = (done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        return subprocess.CompletedProcess(argv, done.returncode, *texts)

    def run(
        self,
        command: str | Sequence[str],
        *,
        check: bool = True,
        timeout_s: float = 900,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run a command as root, as `Machine.run` does."""
        line, display = command_line(command, {**self.environment, **(env or {})}, timeout_s)
        started = time.monotonic()
        done = self._ssh(line, input, timeout_s + 30)
        seconds = time.monotonic() - started
        result = Result(display, done.returncode, done.stdout, done.stderr, seconds)
        if check and done.returncode != 0:
            raise CommandFailed(result)
        return result

    def copy_checkout(self, checkout: Path, target: str = "/srv/tljh") -> str:
        """Copy the files of `checkout` that git does not ignore."""
        done = self._ssh(f"mkdir -p {target} && tar -C {target} -xf -", checkout_archive(checkout))
        assert done.returncode == 0, done.stderr
        return target

    def copy_in(self, source: Path | str, target: str) -> None:
        """Copy a file or directory of this computer to `target`; make its parents."""
        path = Path(source)
        packed = subprocess.run(
            ["tar", "-C", str(path.parent), "-cf", "-", path.name], check=True, capture_output=True
        ).stdout
        inside = Path(target)
        script = f"d=$(mktemp -d) && tar -C $d -xf - && mkdir -p {inside.parent} "
        done = self._ssh(f"{script} && mv $d/{path.name} {inside}", packed)
        assert done.returncode == 0, done.stderr

    def restart(self) -> None:
        """Reboot the machine, with firmware and kernel."""
        before = self.run("cat /proc/sys/kernel/random/boot_id").stdout.strip()
        self._ssh("systemctl reboot", timeout_s=30)
        self.wait_until_up(after=before)

    def power_cut(self) -> None:
        """Kill QEMU and boot again; the disk has what the machine had synced."""
        self.stop()
        self.start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Stop the machine and remove its disk."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        if self in LIVE:
            LIVE.remove(self)

    def __enter__(self) -> VirtualMachine:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()
