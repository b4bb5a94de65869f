"""Build the hub's environment: the one builder, for installs, upgrades and hub.packages.

An environment is a directory versions/hub-<digest>, made beside the one in use. The file
share/tljh/environment.json inside is written last: without it the directory is unfinished,
and the next run removes it. Nobody refers to a new one before `tljh` has flipped the link.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import io
import json
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tljh.base.errors import Exit, TljhError
from tljh.base.package_indexes import environment_for_uv, split_specs
from tljh_installer.facts import PythonFound
from tljh_installer.index import (
    FIX_INDEX,
    LockedPackage,
    PackagePages,
    download_locked,
    parse_lock,
    sha256_of,
    without_hashes,
)
from tljh_installer.network import host_of
from tljh_installer.processes import Ended, run_logged
from tljh_installer.release import Carried
from tljh_installer.steps import Step, Steps
from tljh_installer.wheel import build_wheel

STAMP = Path("share/tljh/environment.json")
DEFAULT_CACHE = Path("/var/cache/tljh/uv")
_DIGEST_LENGTH = 12
# Not in /tmp: that may forbid running programs, and a killed run would leave it there.
_SCRATCH = ".build-"
_LOCK_DEADLINE_S = 600.0
# The only package of the lock that PyPI has no wheel of; its build requirement is locked too.
SOURCE_ONLY = "onetimepass"
# Not compiled to byte code: who runs them is root, and then Python does it on the way.
ROOT_ONLY = ("pip", "setuptools")


@dataclass(frozen=True)
class Wanted:
    """What decides which environment it has to be; `specs` are the unlocked extras."""

    lock_sha256: str
    wheel: str
    python: str
    specs: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_LENGTH]


@dataclass(frozen=True)
class HubEnvironment:
    """A finished environment, as its stamp describes it."""

    path: Path
    wanted: Wanted
    version: str = ""
    packages: int = 0
    built: bool = False

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"


def python_key(python: PythonFound) -> str:
    """What must stay the same about a Python for an environment on it to go on working."""
    return f"{python.path} {python.tag} {os.uname().machine}"


def read_stamp(path: Path) -> HubEnvironment | None:
    """The environment at `path`; None where it is not finished."""
    try:
        found = json.loads((path / STAMP).read_text())
        wanted = found["wanted"]
        return HubEnvironment(
            path,
            Wanted(
                wanted["lock_sha256"], wanted["wheel"], wanted["python"], tuple(wanted["specs"])
            ),
            found["version"],
            found["packages"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _bare_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without what would bend a Python's imports or uv's choice of environment."""
    bending = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT")
    return {name: value for name, value in environ.items() if name not in bending}


def _checkout(pip_spec: str | None) -> Path | None:
    """The directory that TLJH_BOOTSTRAP_PIP_SPEC names, where it is a checkout of tljh."""
    words = split_specs(pip_spec or "")
    if len(words) == 1 and (Path(words[0]) / "tljh" / "__init__.py").is_file():
        return Path(words[0]).resolve()
    return None


@dataclass
class Builder:
    """Builds one environment under `versions`.

    `current` is the one in use, which is asked what admins and plugins added to it.
    """

    steps: Steps
    carried: Carried
    pages: PackagePages
    python: PythonFound
    prefix: Path
    versions: Path
    environ: Mapping[str, str]
    pip_spec: str | None = None
    architecture: str = field(default_factory=lambda: os.uname().machine)

    @property
    def current(self) -> HubEnvironment | None:
        link = self.prefix / "hub"
        return read_stamp(link.resolve()) if link.is_symlink() else None

    @property
    def cache(self) -> Path:
        return Path(self.environ.get("UV_CACHE_DIR") or DEFAULT_CACHE)

    def wanted(self, specs: Sequence[str]) -> Wanted:
        checkout = _checkout(self.pip_spec)
        own = build_wheel(checkout).sha256 if checkout else self.carried.wheel.sha256
        return Wanted(
            lock_sha256=sha256_of(self.carried.lock.encode()),
            wheel=self.pip_spec if self.pip_spec and not checkout else own,
            python=python_key(self.python),
            specs=tuple(sorted(set(specs))),
        )

    def specs_of_current(self) -> list[str]:
        """What the environment in use holds besides the lock: asked of itself where it still
        runs, else (its Python is gone after a distribution upgrade) as its stamp has it."""
        current = self.current
        if current is None:
            return []
        asked = self._ask_specs(current.python)
        return list(current.wanted.specs) if asked is None else asked

    def _ask_specs(self, python: Path, *arguments: str) -> list[str] | None:
        command: list[str | Path] = [python, "-m", "tljh.operations.hub_packages", *arguments]
        if not python.exists():
            return None
        environ = {**self._environ(), "TLJH_INSTALL_PREFIX": str(self.prefix)}
        ended = run_logged(self.steps, command, environ=environ, timeout_s=60)
        if ended.code != 0:
            return None
        return [line.strip() for line in ended.stdout.splitlines() if line.strip()]

    def _environ(self) -> dict[str, str]:
        return _bare_environ(self.environ)

    def build(
        self, plugins: Sequence[str], *, specs: Sequence[str] | None = None
    ) -> HubEnvironment:
        """The environment for `plugins` and what was added before: found, or built anew.

        `specs` replaces what the environment in use, and the configuration, would be asked for.
        """
        known = self.specs_of_current() if specs is None else list(specs)
        wanted = self.wanted([*known, *plugins])
        current = self.current
        if current is not None and current.wanted == wanted and current.python.exists():
            return current
        self.versions.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _directory_lock(self.versions):
            self._remove_unfinished()
            path = self.versions / f"hub-{wanted.digest}"
            number = 1
            while (found := read_stamp(path)) is not None:
                if found.wanted == wanted and found.python.exists():
                    return found
                # Same beginnings, but a plugin then asked for something else.
                number += 1
                path = self.versions / f"hub-{wanted.digest}-{number}"
            with self.steps.step("hub environment") as step:
                return self._build_at(path, wanted, step, is_told=specs is not None)

    def _remove_unfinished(self) -> None:
        """What a killed run left: under the lock, nobody can be at work on it."""
        for path in self.versions.glob(f"{_SCRATCH}*"):
            shutil.rmtree(path)
        for path in self.versions.glob("hub-*"):
            if path.is_dir() and not path.is_symlink() and not (path / STAMP).exists():
                self.steps.log(f"removing {path}, which was never finished")
                shutil.rmtree(path)

    def _build_at(self, path: Path, wanted: Wanted, step: Step, *, is_told: bool) -> HubEnvironment:
        try:
            with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=self.versions) as scratch:
                work = Path(scratch)
                uv = self._uv(work)
                self._run_uv(uv, "venv", "--no-project", "--python", self.python.path, path)
                self._install_locked(uv, path, work)
                wanted = self._install_extras(uv, path, work, wanted, is_told)
                # uv's own lock, which anyone may write to.
                (path / ".lock").unlink(missing_ok=True)
                self._compile(path)
                self._describe_traits(path)
                packages = len(list(path.glob("lib/python3*/site-packages/*.dist-info")))
                self._finish(path, wanted, packages)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        step.detail = f"{packages} packages"
        return HubEnvironment(path, wanted, self.carried.version, packages, built=True)

    def _uv(self, work: Path) -> Path:
        """uv of exactly the locked version: from the environment in use, or from the index."""
        (package,) = (found for found in parse_lock(self.carried.lock) if found.name == "uv")
        current = self.current
        if current is not None:
            at_hand = current.path / "bin" / "uv"
            infos = current.path.glob(f"lib/python3*/site-packages/uv-{package.version}.dist-info")
            if at_hand.exists() and any(infos):
                return at_hand
        uv = work / "uv"
        with zipfile.ZipFile(io.BytesIO(self._uv_wheel(package))) as file:
            (member,) = (name for name in file.namelist() if name.endswith("/scripts/uv"))
            uv.write_bytes(file.read(member))
        uv.chmod(0o755)
        return uv

    def _uv_wheel(self, package: LockedPackage) -> bytes:
        """The wheel of uv, kept beside uv's own cache; checked against the lock at each use."""
        kept = self.cache / f"uv-{package.version}-{self.architecture}.whl"
        with contextlib.suppress(OSError):
            data = kept.read_bytes()
            if sha256_of(data) in package.hashes:
                return data
        data = download_locked(self.pages, package, self.architecture)
        # A cache that cannot be written is a pity, not a failure.
        with contextlib.suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_name(f".{kept.name}.{os.getpid()}")
            partial.write_bytes(data)
            partial.replace(kept)
        return data

    def _run_uv(self, uv: Path, *arguments: str | Path) -> Ended:
        environ = {
            **self._environ(),
            **environment_for_uv(self.pages.sources, self.environ),
            "UV_CACHE_DIR": str(self.cache),
        }
        # uv 0.13 ignores UV_NO_INDEX and would ask pypi.org.
        only_links = self.pages.sources.index is None and arguments[0] == "pip"
        options = ["--no-index"] if only_links else []
        ended = run_logged(self.steps, [uv, *arguments, *options], environ=environ)
        if ended.code != 0:
            raise _build_failed(ended, self.pages.sources.index or "no index")
        return ended

    def _install_locked(self, uv: Path, path: Path, work: Path) -> None:
        """Everything locked, and tljh itself, in one go; every file is checked by its hash."""
        lock = work / "hub.lock"
        lock.write_text(self.carried.lock)
        complete = work / "complete.lock"
        own = "" if self.pip_spec else self._own_wheel(work, self.carried.wheel.data)
        complete.write_text(self.carried.lock + own)
        self._run_uv(
            uv,
            *("pip", "sync", "--require-hashes"),
            *("--only-binary", ":all:", "--no-binary", SOURCE_ONLY),
            # pip merges its indexes, uv takes the first that has a name. With hashes the
            # index that a file comes from makes no difference.
            *("--index-strategy", "unsafe-best-match"),
            *("--build-constraints", str(lock)),
            *("--python", str(path / "bin" / "python"), str(complete)),
        )
        if self.pip_spec:
            self._run_uv(
                uv,
                *("pip", "install", "--no-deps"),
                *("--python", str(path / "bin" / "python")),
                *self._spec_arguments(self.pip_spec, work),
            )

    def _own_wheel(self, work: Path, data: bytes) -> str:
        wheel = work / self.carried.wheel.name
        wheel.write_bytes(data)
        return f"\ntljh @ {wheel.as_uri()} --hash=sha256:{sha256_of(data)}\n"

    def _spec_arguments(self, spec: str, work: Path) -> list[str | Path]:
        """TLJH_BOOTSTRAP_PIP_SPEC as arguments; a checkout needs no build backend."""
        checkout = _checkout(spec)
        if checkout is None:
            return list(split_specs(spec))
        wheel = build_wheel(checkout)
        (work / wheel.name).write_bytes(wheel.data)
        return [work / wheel.name]

    def _install_extras(
        self, uv: Path, path: Path, work: Path, wanted: Wanted, is_told: bool
    ) -> Wanted:
        """What admins and plugins add, twice: plugins, once there, may ask for more.

        Whoever told what the configuration asks for may mean another than the one on disk.
        """
        self._add(uv, path, work, wanted.specs)
        only = ["--from-plugins"] if is_told else []
        asked = self._ask_specs(path / "bin" / "python", *only) or []
        more = tuple(sorted(set(asked) - set(wanted.specs)))
        self._add(uv, path, work, more)
        return Wanted(
            wanted.lock_sha256,
            wanted.wheel,
            wanted.python,
            tuple(sorted({*wanted.specs, *more})),
        )

    def _add(self, uv: Path, path: Path, work: Path, specs: Sequence[str]) -> None:
        if not specs:
            return
        constraints = work / "constraints.txt"
        constraints.write_text(without_hashes(self.carried.lock))
        try:
            self._run_uv(
                uv,
                *("pip", "install", "--constraints", str(constraints)),
                *("--python", str(path / "bin" / "python"), "--", *specs),
            )
        except TljhError as error:
            (finding,) = error.findings
            raise TljhError(
                f"these cannot be added to the hub environment: {', '.join(specs)}",
                why=finding.why,
                fix="correct or drop them (--plugin, hub.packages); they must get along with "
                "the versions that tljh comes with",
            ) from error

    def _compile(self, path: Path) -> None:
        """Compile what the hub imports: its service does not, and what comes next imports it."""
        for library in path.glob("lib/python3*"):
            script = library / "site-packages" / "tljh" / "conda" / "worker" / "bytecode.py"
            if script.exists():
                command = [path / "bin" / "python", "-I", "-B", script, library, path, path]
                run_logged(self.steps, [*command, *ROOT_ONLY], environ=self._environ())

    def _describe_traits(self, path: Path) -> None:
        """Note which classes and traits the installed packages have, for tljh-config."""
        module = path / "bin" / "python"
        if any(path.glob("lib/python3*/site-packages/tljh/hub/trait_scan.py")):
            ended = run_logged(
                self.steps, [module, "-m", "tljh.hub.trait_scan"], environ=self._environ()
            )
            if ended.code != 0:
                # Without it only the check of these settings is weaker: no reason to stop.
                self.steps.say(
                    "warning: the settings of the installed classes could not be listed, so "
                    "tljh-config cannot check them; installer.log tells why"
                )

    def _finish(self, path: Path, wanted: Wanted, packages: int) -> None:
        share = path / STAMP.parent
        share.mkdir(parents=True, exist_ok=True)
        (share / "bootstrap.py").write_bytes(self.carried.bootstrap())
        # All of it is on disk before the stamp says so: a power cut must not leave a stamp
        # on files that are not there.
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            ctypes.CDLL(None).syncfs(descriptor)
        finally:
            os.close(descriptor)
        stamp = {
            "version": self.carried.version,
            "packages": packages,
            "made": int(time.time()),
            "wanted": asdict(wanted),
        }
        partial = path / STAMP.with_suffix(".partial")
        partial.write_text(json.dumps(stamp, indent=1) + "\n")
        partial.replace(path / STAMP)


def _build_failed(ended: Ended, index: str) -> TljhError:
    """What uv said, sorted by what can be done about it."""
    lines = [line for line in ended.output.splitlines() if line.strip()]
    why = "\n".join(lines[-12:])
    text = ended.output.lower()
    if "hash mismatch" in text:
        return TljhError(
            "a package is not the file that was locked",
            why=why,
            fix="somebody or something changed it on the way: look at the package index "
            f"({host_of(index)}), then run again",
        )
    if "no space left" in text or "os error 28" in text:
        return TljhError("the disk is full", why=why, fix="make room (df -h), then run this again")
    return TljhError(
        f"the hub environment cannot be built from {host_of(index)}",
        why=why,
        fix=f"run it again; or {FIX_INDEX}",
    )


@contextmanager
def _directory_lock(directory: Path) -> Iterator[None]:
    """One build at a time, whoever started it; the lock leaves no file."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        end = time.monotonic() + _LOCK_DEADLINE_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise TljhError(
                        f"another build in {directory} does not end", exit_code=Exit.LOCKED
                    ) from None
                time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)
