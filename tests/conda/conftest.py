"""Real environments from the tiny channel, made by the real worker in a temporary prefix."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.conda.environment import RequiredPackage
from tljh.conda.resource import UserEnvironmentPresent
from tljh.engine.apply import ChangeContext, apply, recover, start_slow_steps
from tljh.engine.journal import Journal
from tljh.engine.plan import Plan, plan
from tljh.engine.resource import Resource
from tljh.host.interface import Result
from tljh.host.real import RealHost

CHECKOUT = Path(__file__).resolve().parents[2]
if str(CHECKOUT / "integration-tests") not in sys.path:
    sys.path.insert(0, str(CHECKOUT / "integration-tests"))

import channel as local_channel  # noqa: E402 - a folder, not an installable package


class Killed(BaseException):
    """Simulates SIGKILL of the process that called the worker."""


class DyingHost(RealHost):
    """This machine, whose caller dies at the worker's step number `dies_at`."""

    dies_at: int | None = None
    seen = 0

    def run(self, argv, *, on_line=None, **options) -> Result:  # type: ignore[no-untyped-def,override]
        def follow(line: str) -> None:
            if '"step"' in line:
                self.seen += 1
                if self.dies_at is not None and self.seen > self.dies_at:
                    raise Killed(line)
            if on_line is not None:
                on_line(line)

        return super().run(argv, on_line=follow if on_line else None, **options)


@dataclass
class Machine:
    """A temporary prefix, and the engine that changes it."""

    paths: Paths
    host: DyingHost
    channels: tuple[str, ...]

    @property
    def user(self) -> Path:
        return self.paths.user

    @property
    def journal(self) -> Journal:
        return Journal(self.paths.journal_dir)

    def environment(self, *specs: str | RequiredPackage, **more: object) -> UserEnvironmentPresent:
        required = tuple(RequiredPackage.from_spec(s) if isinstance(s, str) else s for s in specs)
        return UserEnvironmentPresent(self.paths, self.channels, required, **more)  # type: ignore[arg-type]

    def plan(self, *resources: Resource) -> Plan:
        return plan(resources, self.host)

    def apply(self, *resources: Resource, health: Callable[[], None] = lambda: None) -> Plan:
        self.recover()
        planned = self.plan(*resources)
        context = ChangeContext("root", "test", {})
        apply(planned, self.host, self.journal, context, progress=SilentProgress(), health=health)
        return planned

    def converge(self, *resources: Resource, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Apply as commands do: start the slow steps first, then call `meanwhile`."""
        self.recover()
        self.carry_out(self.plan(*resources), meanwhile)

    def carry_out(self, planned: Plan, meanwhile: Callable[[], None] = lambda: None) -> None:
        context = ChangeContext("root", "test", {})
        progress = SilentProgress()
        with start_slow_steps(planned, self.host, progress) as started:
            meanwhile()
            apply(started, self.host, self.journal, context, progress=progress, health=lambda: None)

    def recover(self) -> None:
        recover(self.host, self.journal, SilentProgress())

    def installed(self) -> dict[str, str]:
        """Read versions by name from conda-meta."""
        versions = {}
        for path in sorted((self.user / "conda-meta").glob("*.json")):
            name, version, _ = path.stem.rsplit("-", 2)
            versions[name] = version
        return versions

    def contents(self) -> dict[str, bytes | str]:
        return contents(self.user)

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in self.paths.versions.iterdir())


def contents(root: Path) -> dict[str, bytes | str]:
    """Read everything below `root` by path, without byte code, which runs write too."""
    return {
        str(path.relative_to(root)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or (path.is_file() and path.suffix != ".pyc")
    }


@pytest.fixture(scope="session")
def tiny() -> Path:
    return _built("tiny")


@pytest.fixture(scope="session")
def more() -> Path:
    return _built("tiny-more")


def _built(kind: str) -> Path:
    try:
        return local_channel.build(kind)
    except FileNotFoundError as error:
        pytest.skip(f"the local channel cannot be built here: {error}")


@pytest.fixture
def channel_copy(tiny: Path, tmp_path: Path) -> Path:
    """Copy the channel, for a test that damages it."""
    return Path(shutil.copytree(tiny, tmp_path / "channel"))


@pytest.fixture
def make_machine(tmp_path: Path) -> Callable[[Sequence[Path | str]], Machine]:
    def make(channels: Sequence[Path | str]) -> Machine:
        paths = Paths(tmp_path / "tljh")
        for directory in (paths.prefix, paths.versions, paths.state_dir):
            directory.mkdir(parents=True, exist_ok=True)
        return Machine(paths, DyingHost(), tuple(map(str, channels)))

    return make


@pytest.fixture
def machine(make_machine: Callable[[Sequence[Path | str]], Machine], tiny: Path) -> Machine:
    return make_machine([tiny])
