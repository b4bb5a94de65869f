"""Environments in addition to that of all users: their names, and their kernels for users.

A kernel is a directory with a `kernel.json`, in a place for all users or for one group. The hub
gives each server the places of its user. So who sees a kernel is decided by where it is, and a
running server finds a new one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda.environment import RequiredPackage
from tljh.engine.file_resources import read_image, restore_image
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.interface import Host, HostReader

# What every named environment has, whatever else is asked for.
KERNEL_PACKAGES = (RequiredPackage("pip"), RequiredPackage("ipykernel"))

# Names of environments that exist already, and of the kernel that comes with JupyterLab.
_EXISTING = ("base", "root", "user", "shared", "hub", "conda", "tljh", "versions")
_KERNELS = ("python", "python2", "python3")
RESERVED = frozenset((*_EXISTING, *_KERNELS, "all", "none"))

# A dot separates the name of an environment from that of a further kernel in it.
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")

EVERYBODY = ""

_LANGUAGES = {"r": "R", "python": "Python", "julia": "Julia"}


def check_name(name: str) -> None:
    """Raise TljhError for a name that no environment can have."""
    if name in RESERVED:
        raise TljhError(
            f"an environment cannot be called {name}",
            why="that is the name of something else",
            fix=f"choose another name, such as {name}-course",
            exit_code=Exit.USAGE,
        )
    if not _NAME.fullmatch(name):
        raise TljhError(
            f"an environment cannot be called {name!r}",
            why="a name begins with a lower-case letter, and has up to 32 letters, digits, - and _",
            fix="choose another name, such as statistics",
            exit_code=Exit.USAGE,
        )


def list_environments(host: HostReader, paths: Paths) -> list[str]:
    """Return the names of all named environments."""
    return [
        name
        for name in host.listdir(paths.environments)
        if host.info(paths.environments / name / "conda-meta") is not None
    ]


def get_kernel_place(paths: Paths, group: str) -> Path:
    """Return the directory with the kernels that a group sees; with those of all, for ''."""
    return paths.kernels / (f"group-{quote(group, safe='')}" if group else "all")


def format_jupyter_path(paths: Paths, groups: Iterable[str], others: str = "") -> str:
    """Return JUPYTER_PATH for the server of a member of these groups; `others` come before."""
    places = [get_kernel_place(paths, group) for group in (EVERYBODY, *sorted(groups))]
    return ":".join([*filter(None, [others]), *map(str, places)])


def list_audience(host: HostReader, paths: Paths) -> tuple[str, ...]:
    """Return the groups that see the kernels of an environment; '' stands for everybody."""
    return tuple(dict.fromkeys(group for group, _ in _list_published(host, paths)))


def _list_published(host: HostReader, paths: Paths) -> Iterator[tuple[str, Path]]:
    """Yield the directory of each published kernel of the environment, with who sees it."""
    for place in host.listdir(paths.kernels):
        group = unquote(place.removeprefix("group-")) if place != "all" else EVERYBODY
        directory = paths.kernels / place / "kernels"
        for name in host.listdir(directory):
            if name.partition(".")[0] == paths.environment:
                yield group, directory / name


def build_kernels(host: HostReader, paths: Paths, title: str) -> dict[str, dict[str, Any]]:
    """Return the kernels that the environment has, by the name that users' servers give them."""
    specs = paths.user / "share" / "jupyter" / "kernels"
    kernels: dict[str, dict[str, Any]] = {}
    for name in host.listdir(specs):
        spec = _read_spec(host, specs / name)
        if not spec.get("argv"):
            continue
        language = str(spec.get("language", ""))
        program = Path(spec["argv"][0])
        own = paths.user / "bin" / program.name
        if host.info(own, follow=True) is not None:
            program = own
        kernels[paths.environment if name == "python3" else f"{paths.environment}.{name}"] = {
            **spec,
            "argv": [str(program), *spec["argv"][1:]],
            "display_name": f"{_LANGUAGES.get(language.lower(), name)} ({title})",
            "env": {
                # What a cell starts with `!` comes from the environment, too.
                "PATH": f"{paths.user / 'bin'}:${{PATH}}",
                "CONDA_PREFIX": str(paths.user),
                "CONDA_DEFAULT_ENV": paths.environment,
                **spec.get("env", {}),
            },
        }
    return kernels


def _read_spec(host: HostReader, directory: Path) -> dict[str, Any]:
    try:
        spec = json.loads(host.read(directory / "kernel.json") or b"{}")
    except ValueError:
        return {}
    return spec if isinstance(spec, dict) else {}


def read_title(host: HostReader, paths: Paths) -> str:
    """Return the title under which users see the environment's kernels."""
    for _, directory in _list_published(host, paths):
        title = re.search(r"\((.+)\)$", str(_read_spec(host, directory).get("display_name", "")))
        if title:
            return title[1]
    return paths.environment


@dataclass(frozen=True)
class KernelsPublished(Resource):
    """The kernels of a named environment, where the groups of `audience` see them.

    Without `audience` and `title`, these stay as they are: the kernels are written again where
    one of `sources` has changed the environment.
    """

    paths: Paths
    sources: tuple[Resource, ...] = ()
    audience: tuple[str, ...] | None = None
    title: str | None = None

    kind: ClassVar[str] = "kernels"
    stage: ClassVar[Stage] = Stage.FILES

    @property
    def name(self) -> str:
        return str(self.paths.user)

    def difference(self, host: HostReader) -> Difference | None:
        groups = list_audience(host, self.paths) if self.audience is None else self.audience
        if not groups:
            return Difference("-", "shown to nobody")
        who = ", ".join(f"group {group}" if group else "all users" for group in groups)
        return Difference("~", f"shown to {who}")

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        if self.audience is None and not any(source.key in changed for source in self.sources):
            return None
        difference = self.difference(host)
        return (self, difference) if difference else None

    def before(self, host: HostReader) -> Record:
        images = [
            read_image(host, directory / name)
            for _, directory in _list_published(host, self.paths)
            for name in host.listdir(directory)
        ]
        return {
            "prefix": str(self.paths.prefix),
            "environment": self.paths.environment,
            "images": images,
        }

    def apply(self, host: Host, progress: Progress) -> None:
        groups = list_audience(host, self.paths) if self.audience is None else self.audience
        kernels = build_kernels(host, self.paths, self.title or read_title(host, self.paths))
        if groups and not kernels:
            raise TljhError(
                f"the environment {self.paths.environment} has no kernel that users could start",
                fix="add a package with one, such as ipykernel or r-irkernel",
            )
        _remove_published(host, self.paths)
        for group in groups:
            for name, spec in kernels.items():
                directory = get_kernel_place(self.paths, group) / "kernels" / name
                _make_directories(host, directory)
                data = json.dumps(spec, indent=2).encode() + b"\n"
                host.write(directory / "kernel.json", data, mode=0o644)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        paths = Paths(Path(record["prefix"]), environment=record["environment"])
        _remove_published(host, paths)
        for image in record["images"]:
            _make_directories(host, Path(image["path"]).parent)
            restore_image(host, image)


def _remove_published(host: Host, paths: Paths) -> None:
    for _, directory in list(_list_published(host, paths)):
        host.remove(directory)


def _make_directories(host: Host, directory: Path) -> None:
    for path in (*reversed(directory.parents), directory):
        if host.info(path) is None:
            host.mkdir(path, mode=0o755)


@dataclass(frozen=True)
class EnvironmentMoved(Resource):
    """A named environment with its snapshots, moved out of use; `forget_moved` deletes it."""

    paths: Paths

    kind: ClassVar[str] = "deleted-environment"
    stage: ClassVar[Stage] = Stage.LAST

    @property
    def name(self) -> str:
        return str(self.paths.user)

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("-", "the environment and its snapshots")

    def before(self, host: HostReader) -> Record:
        return {"prefix": str(self.paths.user), "versions": str(self.paths.versions)}

    def apply(self, host: Host, progress: Progress) -> None:
        for path in (self.paths.user, self.paths.versions):
            if host.info(path) is not None:
                host.remove(get_moved_place(path))
                host.rename(path, get_moved_place(path))

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for path in (Path(record["prefix"]), Path(record["versions"])):
            if host.info(path) is None and host.info(get_moved_place(path)) is not None:
                host.rename(get_moved_place(path), path)


def get_moved_place(path: Path) -> Path:
    """Return the place next to a path that a deleted environment is moved to."""
    return path.with_name(f".deleted-{path.name}")


def forget_moved(host: Host, paths: Paths) -> None:
    """Remove what `EnvironmentMoved` has moved; also what a killed run has left of it."""
    for directory in (paths.environments, paths.of_environment("x").versions.parent):
        for name in host.listdir(directory):
            if name.startswith(".deleted-"):
                host.remove(directory / name)
