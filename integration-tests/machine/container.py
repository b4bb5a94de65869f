"""A systemd machine in a container: boot, run, restart, snapshot, remove."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import shlex
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from machine import caches, owner
from machine.engine import CannotBoot, Engine, find_engine, report
from machine.image import DEFAULT_RELEASE, LABEL, ensure_image
from machine.passthrough import registry_environment

# A boot takes seconds on a quiet computer. With a hub, on a busy one, it took over a minute.
BOOT_TIMEOUT_S = 240.0


@dataclass(frozen=True)
class Result:
    """Output and exit code of a command in a machine."""

    command: str
    code: int
    stdout: str
    stderr: str
    seconds: float


class CommandFailed(AssertionError):
    """A command in a machine failed; the text has the start and the end of its output."""

    def __init__(self, result: Result) -> None:
        lines = (result.stdout + result.stderr).strip().splitlines()
        if len(lines) > 80:
            lines = [*lines[:40], f"[{len(lines) - 80} lines]", *lines[-40:]]
        text = "\n".join(lines)
        super().__init__(f"`{result.command}` ended with {result.code}:\n{text}")
        self.result = result


@dataclass
class Machine:
    """One booted machine. Use as a context manager, or call `remove`."""

    name: str
    engine: Engine
    environment: dict[str, str] = field(default_factory=dict)
    ports: dict[int, int] = field(default_factory=dict)
    degraded: list[str] = field(default_factory=list)
    boot_seconds: float = 0.0

    # -- life ---------------------------------------------------------------

    @classmethod
    def boot(
        cls,
        image: str = DEFAULT_RELEASE,
        name: str | None = None,
        ports: Mapping[int, int] | None = None,
        *,
        with_caches: bool = True,
        keep: bool = False,
        memory: str | None = None,
        cpus: float | None = None,
        options: Sequence[str] = (),
    ) -> Machine:
        """Boot a machine of `image`: a release (debian12, debian13 …) or a snapshot.

        `ports` maps loopback ports of this computer to ports of the machine.
        `with_caches` shares package caches with earlier machines. With `keep` the machine
        outlives this process; otherwise it is removed when the process ends, at the latest.
        """
        engine = find_engine()
        owner.remove_orphans(engine)
        image_name = ensure_image(engine, image)
        name = name or f"tljh-{os.getpid()}-{time.monotonic_ns() % 1_000_000_000}"
        if owner.exists(engine, name):
            raise CannotBoot(f"a container called {name} exists already")
        machine = cls(name, engine, registry_environment(), dict(ports or {}))
        arguments = [*engine.machine_options(), "--name", name, "--hostname", hostname(name)]
        arguments += ["--label", f"{LABEL}={owner.KEPT if keep else owner.own_label()}"]
        for outside, inside in machine.ports.items():
            arguments += ["--publish", f"127.0.0.1:{outside}:{inside}"]
        if with_caches:
            arguments += caches.mounts()
            machine.environment.update(caches.environment())
        if memory:
            arguments += ["--memory", memory]
        if cpus:
            arguments += ["--cpus", str(cpus)]
        if not keep:
            # Before the container exists: a signal right after its start must find it here.
            LIVE.append(machine)
        started = time.monotonic()
        try:
            engine.run("run", "--detach", *arguments, *options, image_name, "/sbin/init")
            machine.wait_until_up()
            machine.boot_seconds = time.monotonic() - started
            machine.write_environment()
        except BaseException:
            machine.remove()
            raise
        return machine

    @classmethod
    def attach(cls, name: str) -> Machine:
        """Return the running machine `name` of this harness."""
        engine = find_engine()
        if name not in owner.machines(engine):
            raise CannotBoot(f"no machine is called {name}")
        environment = registry_environment()
        template = "{{range .Mounts}}{{.Destination}} {{end}}"
        mounts = engine.run("inspect", "--format", template, name)
        if caches.INSIDE in mounts.stdout.split():
            environment.update(caches.environment())
        return cls(name, engine, environment)

    def wait_until_up(self, timeout_s: float = BOOT_TIMEOUT_S) -> None:
        """Wait until systemd has started all units; those that failed are in `degraded`."""
        deadline = time.monotonic() + timeout_s
        while True:
            query = self.engine.run(
                "exec", self.name, "systemctl", "is-system-running", check=False, timeout_s=30
            )
            state = query.stdout.strip()
            if state in ("running", "degraded"):
                break
            if query.returncode != 0 and not state and not self.is_running():
                raise CannotBoot(f"systemd ended at once in a machine{self.why_it_ended()}")
            if time.monotonic() > deadline:
                jobs = self.run("systemctl list-jobs; journalctl -b -n 15 --no-pager", check=False)
                reason = state or query.stderr.strip()
                raise CannotBoot(f"systemd did not come up in a machine: {reason}\n{jobs.stdout}")
            time.sleep(0.1)
        self.degraded = []
        if state == "degraded":
            failed = self.run("systemctl list-units --failed --plain --no-legend").stdout
            self.degraded = [line.split()[0] for line in failed.splitlines() if line]

    def is_running(self) -> bool:
        """Return whether the container's first process is alive."""
        query = self.engine.run("inspect", "--format", "{{.State.Running}}", self.name)
        return query.stdout.strip() == "true"

    def why_it_ended(self) -> str:
        logs = self.engine.run("logs", "--tail", "5", self.name, check=False)
        reason = f": {logs.stdout.strip()}" if logs.stdout.strip() else ""
        if self.engine.cgroup_version == 1:
            # NEWS of systemd 258.
            reason += " (from systemd 258 on it needs cgroup v2, and this computer has v1)"
        return reason

    def restart(self, timeout_s: float = BOOT_TIMEOUT_S) -> None:
        """Shut systemd down in order and boot again, like a reboot."""
        self.engine.run("stop", "--time", "90", self.name, timeout_s=120)
        self.engine.run("start", self.name)
        self.wait_until_up(timeout_s)

    def power_cut(self, timeout_s: float = BOOT_TIMEOUT_S) -> None:
        """Kill all processes at once and boot again, like a power cut."""
        self.engine.run("kill", "--signal", "KILL", self.name)
        self.engine.run("wait", self.name, check=False, timeout_s=60)
        self.engine.run("start", self.name)
        self.wait_until_up(timeout_s)

    def snapshot(self, tag: str) -> str:
        """Commit the machine's disk and return the image's name, for `boot`.

        Mounted directories (/run, package caches) are not in the image.
        """
        image = f"localhost/tljh-snapshot-{tag}"
        changes = [f"--change=LABEL {LABEL}.snapshot={tag}"]
        if self.engine.kind == "podman":
            changes += ["--format", "docker", "--quiet"]
        self.run("sync")
        self.engine.run("commit", *changes, self.name, image, timeout_s=600)
        return image

    def remove(self) -> None:
        with uninterrupted():
            self.engine.run("rm", "--force", "--volumes", self.name, check=False, timeout_s=120)
            if self in LIVE:
                LIVE.remove(self)

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    # -- use ----------------------------------------------------------------

    def run(
        self,
        command: str | Sequence[str],
        *,
        check: bool = True,
        timeout_s: float = 300,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> Result:
        """Run a command as root, or as `user`; text goes through bash, a list as it is.

        A command that passes `timeout_s` is killed in the machine and fails with 124.
        """
        argv = ["bash", "-c", command] if isinstance(command, str) else list(command)
        display = command if isinstance(command, str) else shlex.join(command)
        args = self._exec(env, user, interactive=input is not None)
        args += ["timeout", "--kill-after=5", str(timeout_s), *argv]
        started = time.monotonic()
        done = subprocess.run(
            [*self.engine.command, *args],
            input=input,
            stdin=None if input is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s + 30,
        )
        seconds = time.monotonic() - started
        result = Result(display, done.returncode, done.stdout, done.stderr, seconds)
        if check and done.returncode != 0:
            raise CommandFailed(result)
        return result

    def stream(self, command: str, env: Mapping[str, str] | None = None) -> int:
        """Run a command, pass its output on as it comes, and return its exit code."""
        tty = ["--tty"] if sys.stdout.isatty() else []
        args = self._exec(env, None, interactive=False)
        args[1:1] = tty
        return subprocess.run(
            [*self.engine.command, *args, "bash", "-c", command], stdin=subprocess.DEVNULL
        ).returncode

    def popen(self, command: str, env: Mapping[str, str] | None = None, **kwargs: Any) -> Any:
        """Start a command in the background and return its `subprocess.Popen`."""
        args = self._exec(env, None, interactive="stdin" in kwargs)
        return subprocess.Popen([*self.engine.command, *args, "bash", "-c", command], **kwargs)

    def shell(self) -> int:
        """Open a login shell in the machine, on this terminal."""
        args = self._exec(None, None, interactive=True)
        args[1:1] = ["--tty"] if sys.stdin.isatty() else []
        return subprocess.run([*self.engine.command, *args, "bash", "--login"]).returncode

    def _exec(
        self, env: Mapping[str, str] | None, user: str | None, *, interactive: bool
    ) -> list[str]:
        args = ["exec"]
        if interactive:
            args.append("--interactive")
        if user:
            args += ["--user", user]
        for key, value in {**self.environment, **(env or {})}.items():
            args += ["--env", f"{key}={value}"]
        return [*args, self.name]

    def write_environment(self) -> None:
        """Write the variables that pip, uv and requests need into /etc/environment."""
        if self.environment:
            lines = "".join(f'{k}="{v}"\n' for k, v in sorted(self.environment.items()))
            self.run("cat > /etc/environment", input=lines)

    def install_packages(self, *packages: str) -> None:
        """Install Debian packages, without those that they only recommend.

        Machines share the cache of downloads, and apt-get does not wait for its lock.
        """
        install = f"apt-get install -qy --no-install-recommends {shlex.join(packages)}"
        self.run(
            "export DEBIAN_FRONTEND=noninteractive; apt-get update -q; "
            f"until {install} 2> /run/apt-errors; do "
            "grep 'Could not get lock' /run/apt-errors || { cat /run/apt-errors >&2; exit 1; }; "
            "sleep 2; done",
            timeout_s=400,
        )

    def copy_in(self, source: Path | str, target: str) -> None:
        """Copy a file or directory of this computer to `target`; make its parents."""
        self.run(["mkdir", "-p", str(Path(target).parent)])
        self.engine.run("cp", str(source), f"{self.name}:{target}", timeout_s=600)

    def copy_out(self, source: str, target: Path | str) -> None:
        """Copy a file or directory of the machine to `target` on this computer."""
        self.engine.run("cp", f"{self.name}:{source}", str(target), timeout_s=600)

    def copy_checkout(self, checkout: Path, target: str = "/srv/tljh") -> str:
        """Copy the files of `checkout` that git does not ignore."""
        archive = checkout_archive(checkout)
        args = ["exec", "--interactive", self.name, "sh", "-c"]
        script = f"rm -rf {target} && mkdir -p {target} && tar -C {target} -xf -"
        subprocess.run([*self.engine.command, *args, script], input=archive, check=True)
        return target

    def journal(self, unit: str, lines: int = 40) -> str:
        """Return the last lines of a unit's log, to explain a failure."""
        return self.run(f"journalctl -u {unit} -n {lines} --no-pager", check=False).stdout

    def address(self) -> str:
        """Return the machine's IP address, which this computer can reach."""
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return self.engine.run("inspect", "--format", template, self.name).stdout.strip()


class Removable(Protocol):
    def remove(self) -> None: ...


# Machines of this process. They are removed when it ends, unless it is killed; then the next
# boot removes them (owner.remove_orphans).
LIVE: list[Removable] = []


@atexit.register
def remove_live() -> None:
    for machine in list(LIVE):
        machine.remove()


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C, so that a second one does not leave a machine behind."""
    try:
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def command_line(
    command: str | Sequence[str], environment: Mapping[str, str], timeout_s: float
) -> tuple[str, str]:
    """Return a line for a remote shell that runs `command` with a deadline, and its display."""
    argv = ["bash", "-c", command] if isinstance(command, str) else list(command)
    display = command if isinstance(command, str) else shlex.join(command)
    variables = [f"{key}={value}" for key, value in environment.items()]
    timeout = ["timeout", "--kill-after=5", str(timeout_s)]
    return shlex.join(["env", *variables, *timeout, *argv]), display


def hostname(name: str) -> str:
    return "".join(c if c.isalnum() or c == "-" else "-" for c in name)[:60]


def checkout_archive(checkout: Path, only: tuple[str, ...] = ("",)) -> bytes:
    """Pack the files of a checkout that git does not ignore into a tar.

    `only` selects files by prefix. The same files give the same bytes.
    """
    # The checkout may belong to the user who called sudo; git refuses that without safe.directory.
    git = ["git", "-c", f"safe.directory={checkout}", "-C", str(checkout)]
    listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run([*git, *listing], capture_output=True, text=True)
    if done.returncode != 0:
        report(f"{checkout} is not a git checkout: copying all of it")
        names = [str(p.relative_to(checkout)) for p in checkout.rglob("*") if p.is_file()]
        names = [n for n in names if not n.startswith((".venv/", ".git/"))]
    else:
        names = [name for name in done.stdout.split("\0") if name]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(set(names)):
            path = checkout / name
            if name.startswith(only) and (path.is_symlink() or path.is_file()):
                archive.add(path, name, recursive=False, filter=as_root)
    return buffer.getvalue()


def as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = 0
    return member
