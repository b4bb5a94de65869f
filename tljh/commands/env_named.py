"""`tljh env create`, `show`, `share` and `delete`: environments that users see as kernels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.commands.confirmation import confirm
from tljh.commands.env_packages import DryRunOption, YesOption
from tljh.commands.parameters import Argument, Option, Summary, choose_progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations import named_environments as operations
from tljh.operations.installed_environment import read_sources
from tljh.operations.named_environments import NamedEnvironment, NewEnvironment

NameArgument = Annotated[str, Argument("NAME", "The environment.")]

GroupsOption = Annotated[
    list[str] | None, Option("--group", "Show it to this group only; repeat for more.", "GROUP")
]

TitleOption = Annotated[
    str, Option("--title", "The title that users see; the name without it.", "TEXT")
]


@dataclass(frozen=True)
class PrintedEnvironments:
    """The named environments, each with its kernels and who sees them."""

    environments: list[NamedEnvironment]

    def as_json(self) -> dict[str, Any]:
        return {"environments": [asdict(environment) for environment in self.environments]}

    def as_text(self) -> str:
        if not self.environments:
            return "there is only the environment of all users; another: sudo tljh env create NAME"
        lines = []
        for environment in self.environments:
            packages = format_count(environment.packages, "package")
            lines.append(f"{environment.name}: {environment.title}, {packages}")
            kernels = ", ".join(environment.kernels) or "none"
            lines.append(f"  kernels {kernels}; shown to {environment.audience}")
        return "\n".join(lines)


def create(
    name: NameArgument,
    spec: Annotated[
        list[str] | None, Argument("SPEC", "Packages in addition to Python, pip and ipykernel.")
    ] = None,
    *,
    python: Annotated[str, Option("--python", "The version of Python.", "VERSION")] = "",
    source: Annotated[
        str, Option("--from", "A lock, environment.yml or requirements.txt.", "FILE")
    ] = "",
    group: GroupsOption = None,
    title: TitleOption = "",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: bool = False,
) -> Summary:
    """Create an environment that users see as a kernel: plan, ask, build, check."""
    host, paths = RealHost(), get_paths()
    request = NewEnvironment(
        name,
        tuple(spec or ()),
        python,
        operations.make_source_absolute(source),
        tuple(group or ()),
        title,
    )
    sources = read_sources(host, paths.of_environment(name))
    planned = operations.plan_creation(host, paths, request, sources)
    text = f"{name}: {planned.summary}"
    if dry_run:
        return Summary((text,), {"name": name, "plan": planned.summary})
    confirm(text, "Create it?", yes=yes)
    created = operations.create(host, paths, planned, choose_progress_on_stderr(as_json))
    lines = _describe(created, f"created {name}")
    return Summary((*lines, *_note_groups(group or [])), asdict(created))


def _describe(environment: NamedEnvironment, done: str) -> tuple[str, ...]:
    kernels = ", ".join(environment.kernels)
    return (f"{done}: {environment.audience} can choose {kernels} as the kernel of a notebook.",)


def _note_groups(groups: list[str]) -> list[str]:
    unknown = operations.find_unknown_groups(RealHost(), get_paths(), groups)
    return [
        f"config.yaml has no group {group}; only members by the hub's own groups see it."
        for group in unknown
    ]


def show() -> PrintedEnvironments:
    """List the named environments, their kernels, and who sees them."""
    return PrintedEnvironments(operations.list_all(RealHost(), get_paths()))


def share(
    name: NameArgument,
    *,
    group: GroupsOption = None,
    for_all: Annotated[bool, Option("--all", "Show it to all users.")] = False,
    title: TitleOption = "",
    as_json: bool = False,
) -> Summary:
    """Choose who sees the kernels of an environment: all users, or members of groups."""
    if for_all == bool(group):
        raise TljhError("say who shall see it", fix="--all, or --group GROUP", exit_code=Exit.USAGE)
    groups = [""] if for_all else group or []
    progress = choose_progress_on_stderr(as_json)
    shared = operations.share(RealHost(), get_paths(), name, groups, title, progress)
    lines = _describe(shared, name)
    return Summary((*lines, *_note_groups(group or [])), asdict(shared))


def delete(
    name: NameArgument,
    *,
    yes: YesOption = False,
    as_json: bool = False,
) -> Summary:
    """Delete an environment with its kernels and snapshots; running kernels of it break."""
    host, paths = RealHost(), get_paths()
    environment = operations.describe(host, operations.require_name(host, paths, name))
    text = f"{name}: {format_count(environment.packages, 'package')} and all snapshots"
    confirm(text, "Delete it?", yes=yes)
    operations.delete(host, paths, name, choose_progress_on_stderr(as_json))
    return Summary((f"deleted {name}",), {"name": name})
