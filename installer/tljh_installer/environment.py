"""Builder of hub environments, for installs, upgrades and hub.packages.

An environment is a directory versions/hub-<digest>, next to the current one. The stamp inside
(share/tljh/environment.json) is written last: a directory without it is unfinished, and the next
run removes it. A new environment is unused until `tljh` points the link `hub` at it.
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
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from tljh.base.errors import Exit, TljhError
from tljh.base.package_indexes import SOURCE_ONLY, build_uv_environment, split_specs
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import Paths
from tljh_installer.facts import PythonInterpreter
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
from tljh_installer.processes import EndedCommand, run_logged
from tljh_installer.release import Payload
from tljh_installer.steps import Step, Steps
from tljh_installer.wheel import build_wheel

_DIGEST_LENGTH = 12
# In versions/, not in /tmp: /tmp may be mounted noexec, and the next run would not find there what
# a killed run left.
SCRATCH = ".build-"
_LOCK_DEADLINE_S = 600.0
# A plugin that hangs is given a minute for each of its hooks.
_ASK_DEADLINE_S = 600.0
# Not compiled to byte code in advance: only root runs them, and may write the byte code then.
ROOT_ONLY = ("pip", "setuptools")


@dataclass(frozen=True)
class EnvironmentSpec:
    """The inputs of an environment; `specs` are the packages in addition to the lock.

    The digest that names the directory is computed from these field names and values.
    """

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
    spec: EnvironmentSpec
    version: str = ""
    packages: int = 0
    built: bool = False

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"


def write_to_disk(directory: Path) -> None:
    """Wait until everything on the file system of `directory` is on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        ctypes.CDLL(None).syncfs(descriptor)
    finally:
        os.close(descriptor)


def python_key(python: PythonInterpreter) -> str:
    """Return a text that changes when environments of this Python stop working."""
    return f"{python.path} {python.tag} {os.uname().machine}"


def read_stamp(path: Path) -> HubEnvironment | None:
    """Return the environment at `path`; None if it is not finished."""
    try:
        stamp = json.loads(HubEnvironmentFiles(path).stamp.read_text())
        spec = stamp["wanted"]
        return HubEnvironment(
            path,
            EnvironmentSpec(
                spec["lock_sha256"], spec["wheel"], spec["python"], tuple(spec["specs"])
            ),
            stamp["version"],
            stamp["packages"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_left_out(path: Path) -> dict[str, str]:
    """Return the packages that an environment should have and does not, with the reasons."""
    try:
        left_out: dict[str, str] = json.loads(HubEnvironmentFiles(path).left_out.read_text())
        return left_out
    except (OSError, ValueError):
        return {}


def _bare_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without the variables that change imports or uv's target environment."""
    dropped = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT")
    return {name: value for name, value in environ.items() if name not in dropped}


def _checkout(pip_spec: str | None) -> Path | None:
    """Return the directory in TLJH_BOOTSTRAP_PIP_SPEC if it is a checkout of tljh, else None."""
    words = split_specs(pip_spec or "")
    if len(words) == 1 and (Path(words[0]) / "tljh" / "__init__.py").is_file():
        return Path(words[0]).resolve()
    return None


@dataclass
class Builder:
    """Builds one environment in `versions`.

    Packages that admins and plugins added to the current environment are kept.
    """

    steps: Steps
    payload: Payload
    pages: PackagePages
    python: PythonInterpreter
    prefix: Path
    versions: Path
    environ: Mapping[str, str]
    pip_spec: str | None = None
    architecture: str = field(default_factory=lambda: os.uname().machine)

    @property
    def current(self) -> HubEnvironment | None:
        """The environment that the link `hub` points at."""
        link = self.prefix / "hub"
        return read_stamp(link.resolve()) if link.is_symlink() else None

    @property
    def cache(self) -> Path:
        return Path(self.environ.get("UV_CACHE_DIR") or Paths.uv_cache)

    def spec_with(self, specs: Sequence[str]) -> EnvironmentSpec:
        """Return the inputs of an environment with these packages in addition to the lock."""
        checkout = _checkout(self.pip_spec)
        wheel_sha256 = build_wheel(checkout).sha256 if checkout else self.payload.wheel.sha256
        return EnvironmentSpec(
            lock_sha256=sha256_of(self.payload.lock.encode()),
            wheel=self.pip_spec if self.pip_spec and not checkout else wheel_sha256,
            python=python_key(self.python),
            specs=tuple(sorted(set(specs))),
        )

    def specs_of_current(self) -> list[str]:
        """Return what the current environment should have in addition to the lock.

        The environment itself knows from config.yaml and its plugins. If it does not run any more
        (a distribution upgrade removed its Python), its stamp is used.
        """
        current = self.current
        if current is None:
            return []
        specs = self._ask_specs(current.python)
        return list(current.spec.specs) if specs is None else specs

    def _ask_specs(self, python: Path, *arguments: str) -> list[str] | None:
        command: list[str | Path] = [python, "-m", "tljh.operations.hub_packages", *arguments]
        if not python.exists():
            return None
        environ = {**self._environ(), "TLJH_INSTALL_PREFIX": str(self.prefix)}
        ended = run_logged(self.steps, command, environ=environ, timeout_s=_ASK_DEADLINE_S)
        if ended.code != 0:
            return None
        return [line.strip() for line in ended.stdout.splitlines() if line.strip()]

    def _environ(self) -> dict[str, str]:
        return _bare_environ(self.environ)

    def build(
        self, plugins: Sequence[str], *, specs: Sequence[str] | None = None
    ) -> HubEnvironment:
        """Return the environment with `plugins` and all packages added before; build it if missing.

        `specs` are the added packages; None asks the current environment for them.
        """
        added = self.specs_of_current() if specs is None else list(specs)
        spec = self.spec_with([*added, *plugins])
        # An environment that was built without one of these is no answer to asking for it.
        asked = {*plugins, *(specs or ())}
        current = self.current
        if (
            current is not None
            and current.spec == spec
            and current.python.exists()
            and not asked & read_left_out(current.path).keys()
        ):
            return current
        self.versions.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _directory_lock(self.versions):
            self._remove_unfinished()
            path = self.versions / f"hub-{spec.digest}"
            number = 1
            while (existing := read_stamp(path)) is not None:
                if (
                    existing.spec == spec
                    and existing.python.exists()
                    and not asked & read_left_out(existing.path).keys()
                ):
                    return existing
                # The same inputs gave another result: a plugin asked for further packages, which
                # are in the stamp but not in the digest.
                number += 1
                path = self.versions / f"hub-{spec.digest}-{number}"
            with self.steps.step("hub environment") as step:
                # What was asked for now must be there. What an earlier environment had must not
                # stop an upgrade, or the rebuild after a distribution upgrade.
                kept = () if specs is not None else tuple(set(added) - set(plugins))
                return self._build_at(
                    path, spec, step, has_explicit_specs=specs is not None, kept=kept
                )

    def _remove_unfinished(self) -> None:
        """Remove what a killed run left; the caller holds the lock, so no other run uses it."""
        for path in self.versions.glob(f"{SCRATCH}*"):
            shutil.rmtree(path)
        for path in self.versions.glob("hub-*"):
            if (
                path.is_dir()
                and not path.is_symlink()
                and not HubEnvironmentFiles(path).stamp.exists()
            ):
                self.steps.log(f"removing {path}, which was never finished")
                shutil.rmtree(path)

    def _build_at(
        self,
        path: Path,
        spec: EnvironmentSpec,
        step: Step,
        *,
        has_explicit_specs: bool,
        kept: Sequence[str] = (),
    ) -> HubEnvironment:
        try:
            with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=self.versions) as scratch:
                work = Path(scratch)
                uv = self._uv(work)
                self._run_uv(uv, "venv", "--no-project", "--python", self.python.path, path)
                # uv would make its lock so that every user may hold it, and a build would wait.
                (path / ".lock").touch(mode=0o600)
                self._install_locked(uv, path, work)
                spec = self._install_extras(uv, path, work, spec, has_explicit_specs, kept)
                (path / ".lock").unlink(missing_ok=True)
                self._compile(path)
                self._describe_traits(path)
                packages = len(list(path.glob("lib/python3*/site-packages/*.dist-info")))
                self._finish(path, spec, packages)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        step.detail = f"{packages} packages"
        return HubEnvironment(path, spec, self.payload.version, packages, built=True)

    def _uv(self, work: Path) -> Path:
        """Return uv of exactly the locked version, from the current environment or the index."""
        (package,) = (entry for entry in parse_lock(self.payload.lock) if entry.name == "uv")
        current = self.current
        if current is not None:
            installed = current.path / "bin" / "uv"
            infos = current.path.glob(f"lib/python3*/site-packages/uv-{package.version}.dist-info")
            if installed.exists() and any(infos):
                return installed
        uv = work / "uv"
        with zipfile.ZipFile(io.BytesIO(self._uv_wheel(package))) as file:
            (member,) = (name for name in file.namelist() if name.endswith("/scripts/uv"))
            uv.write_bytes(file.read(member))
        uv.chmod(0o755)
        return uv

    def _uv_wheel(self, package: LockedPackage) -> bytes:
        """Return the wheel of uv from the cache or the index, checked against the lock."""
        kept = self.cache / f"uv-{package.version}-{self.architecture}.whl"
        with contextlib.suppress(OSError):
            data = kept.read_bytes()
            if sha256_of(data) in package.hashes:
                return data
        data = download_locked(self.pages, package, self.architecture)
        # Without a writable cache, the next build downloads the wheel again.
        with contextlib.suppress(OSError):
            self._make_cache()
            partial = kept.with_name(f".{kept.name}.{os.getpid()}")
            partial.write_bytes(data)
            partial.replace(kept)
        return data

    def _make_cache(self) -> None:
        """Create the cache for root alone.

        uv creates its `.lock` with mode 0666. A user who opened the file could hold the lock, and
        every build would wait for them.
        """
        self.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.cache == Paths.uv_cache:
            self.cache.chmod(0o700)

    def _run_uv(self, uv: Path, *arguments: str | Path) -> EndedCommand:
        with contextlib.suppress(OSError):
            self._make_cache()
        environ = {
            **self._environ(),
            **build_uv_environment(self.pages.sources, self.environ),
            "UV_CACHE_DIR": str(self.cache),
        }
        # uv 0.13 ignores UV_NO_INDEX and would ask pypi.org, so the option is needed.
        has_no_index = self.pages.sources.index is None and arguments[0] == "pip"
        options = ["--no-index"] if has_no_index else []
        ended = run_logged(self.steps, [uv, *arguments, *options], environ=environ)
        if ended.code != 0:
            raise _build_failed(ended, self.pages.sources.index or "no index")
        return ended

    def _install_locked(self, uv: Path, path: Path, work: Path) -> None:
        """Install the locked packages and tljh in one run; every file is checked by its hash."""
        lock = work / "hub.lock"
        lock.write_text(self.payload.lock)
        complete = work / "complete.lock"
        own_entry = "" if self.pip_spec else self._write_own_wheel(work, self.payload.wheel.data)
        complete.write_text(self.payload.lock + own_entry)
        self._run_uv(
            uv,
            *("pip", "sync", "--require-hashes"),
            *("--only-binary", ":all:", "--no-binary", SOURCE_ONLY),
            # pip merges its indexes, uv by default takes the first that has a package. Merging is
            # safe here: the hashes allow the same files from any index.
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

    def _write_own_wheel(self, work: Path, data: bytes) -> str:
        """Write tljh's wheel to `work`, and return its entry for the lock."""
        wheel = work / self.payload.wheel.name
        wheel.write_bytes(data)
        return f"\ntljh @ {wheel.as_uri()} --hash=sha256:{sha256_of(data)}\n"

    def _spec_arguments(self, spec: str, work: Path) -> list[str | Path]:
        """Return TLJH_BOOTSTRAP_PIP_SPEC as arguments; a checkout becomes a wheel in `work`."""
        checkout = _checkout(spec)
        if checkout is None:
            return list(split_specs(spec))
        wheel = build_wheel(checkout)
        (work / wheel.name).write_bytes(wheel.data)
        return [work / wheel.name]

    def _install_extras(
        self,
        uv: Path,
        path: Path,
        work: Path,
        spec: EnvironmentSpec,
        has_explicit_specs: bool,
        kept: Sequence[str],
    ) -> EnvironmentSpec:
        """Install what admins and plugins add; return the spec with what plugins added then."""
        self._add_or_leave_out(uv, path, work, spec.specs, kept)
        # Installed plugins may ask for further packages. With explicit specs, only plugins are
        # asked: the caller's configuration need not be the config.yaml on disk.
        only = ["--from-plugins"] if has_explicit_specs else []
        python = path / "bin" / "python"
        requested = self._ask_specs(python, *only, "--record") or []
        further = tuple(sorted(set(requested) - set(spec.specs)))
        # Of a plugin that was asked for now, further packages must be there, too.
        is_new = has_explicit_specs or not set(spec.specs) <= set(kept)
        self._add_or_leave_out(uv, path, work, further, () if is_new else (*kept, *further))
        if further:
            # A plugin may have brought another plugin.
            self._ask_specs(python, "--from-plugins", "--record")
        return replace(spec, specs=tuple(sorted({*spec.specs, *further})))

    def _add_or_leave_out(
        self, uv: Path, path: Path, work: Path, specs: Sequence[str], kept: Sequence[str]
    ) -> None:
        """Install packages; where that fails, those of `kept` that cannot be installed stay out.

        They and the reason are recorded in the environment, for the plan and `tljh status`.
        """
        try:
            self._add(uv, path, work, specs)
            return
        except TljhError:
            if not set(kept) & set(specs):
                raise
        left_out: dict[str, str] = {}
        for spec in specs:
            try:
                self._add(uv, path, work, [spec])
            except TljhError as error:
                if spec not in kept:
                    raise
                left_out[spec] = error.findings[0].why or ""
                self.steps.say(f"warning: {spec} cannot be installed any more, and is left out")
        record = HubEnvironmentFiles(path).left_out
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({**read_left_out(path), **left_out}, indent=1) + "\n")

    def _add(self, uv: Path, path: Path, work: Path, specs: Sequence[str]) -> None:
        if not specs:
            return
        constraints = work / "constraints.txt"
        constraints.write_text(without_hashes(self.payload.lock))
        try:
            self._run_uv(
                uv,
                *("pip", "install", "--constraints", str(constraints)),
                *("--python", str(path / "bin" / "python"), "--", *specs),
            )
        except TljhError as error:
            (finding,) = error.findings
            raise TljhError(
                f"these packages cannot be added to the hub environment: {', '.join(specs)}",
                why=finding.why,
                fix="correct or remove them (--plugin, hub.packages); they must be compatible "
                "with the versions that tljh installs",
            ) from error

    def _compile(self, path: Path) -> None:
        """Write the byte code of what the hub imports.

        The hub's unit does not write it, and the rest of the install imports these modules.
        """
        for library in path.glob("lib/python3*"):
            script = library / "site-packages" / "tljh" / "conda" / "worker" / "bytecode.py"
            if script.exists():
                python = path / "bin" / "python"
                command: list[str | Path] = [python, "-I", "-B", script, library, path, path]
                run_logged(self.steps, [*command, *ROOT_ONLY], environ=self._environ())

    def _describe_traits(self, path: Path) -> None:
        """Write the catalogue of the installed packages' classes and traits, for tljh-config."""
        if any(path.glob("lib/python3*/site-packages/tljh/hub/trait_scan.py")):
            command: list[str | Path] = [path / "bin" / "python", "-m", "tljh.hub.trait_scan"]
            if run_logged(self.steps, command, environ=self._environ()).code != 0:
                # Not fatal: only the check of these settings needs the catalogue.
                self.steps.say(
                    "warning: the settings of the installed classes could not be listed, so "
                    "tljh-config cannot check them; the reason is in installer.log"
                )

    def _finish(self, path: Path, spec: EnvironmentSpec, packages: int) -> None:
        files = HubEnvironmentFiles(path)
        files.bootstrap.parent.mkdir(parents=True, exist_ok=True)
        files.bootstrap.write_bytes(self.payload.bootstrap())
        # The files must be on disk before the stamp: otherwise a power failure could leave a
        # finished environment with empty files.
        write_to_disk(path)
        stamp = {
            "version": self.payload.version,
            "packages": packages,
            "made": int(time.time()),
            "wanted": asdict(spec),
        }
        partial = files.stamp.with_suffix(".partial")
        partial.write_text(json.dumps(stamp, indent=1) + "\n")
        partial.replace(files.stamp)


def _build_failed(ended: EndedCommand, index: str) -> TljhError:
    """Return the error for a failed uv, with the fix that its output suggests."""
    lines = [line for line in ended.output.splitlines() if line.strip()]
    why = "\n".join(lines[-12:])
    text = ended.output.lower()
    if "hash mismatch" in text:
        return TljhError(
            "a package is not the file that was locked",
            why=why,
            fix=f"it was changed on its way here: check the package index ({host_of(index)}), "
            "then run this again",
        )
    if "no space left" in text or "os error 28" in text:
        return TljhError(
            "the disk is full", why=why, fix="free disk space (df -h), then run this again"
        )
    return TljhError(
        f"the hub environment cannot be built from {host_of(index)}",
        why=why,
        fix=f"run this again; or {FIX_INDEX}",
    )


@contextmanager
def _directory_lock(directory: Path) -> Iterator[None]:
    """Hold the lock of all builds in `directory`. It is on the directory, so it leaves no file."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline_s = time.monotonic() + _LOCK_DEADLINE_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline_s:
                    raise TljhError(
                        f"another build in {directory} does not end",
                        fix="wait until it has ended, or stop it; then run this again",
                        exit_code=Exit.LOCKED,
                    ) from None
                time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)
