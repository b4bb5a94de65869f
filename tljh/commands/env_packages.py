"""`tljh env install`, `remove`, `update`, `list` and `search`: packages for all users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import Paths, get_paths
from tljh.base.progress import format_count
from tljh.commands.chosen_environment import EnvOption, choose_environment, name_commands
from tljh.commands.confirmation import confirm
from tljh.commands.parameters import Argument, Option, Summary, choose_progress_on_stderr
from tljh.conda.package_changes import Action, PackagePlan, PackageRequest
from tljh.host.real import RealHost
from tljh.operations import env_packages as operations
from tljh.operations.bundle_use import choose_specs, taking_packages_from
from tljh.operations.env_files import plan_file
from tljh.operations.installed_environment import PackageSources, read_sources
from tljh.operations.named_environments import make_source_absolute

SpecsArgument = Annotated[
    list[str] | None, Argument("SPEC", "Packages, such as numpy, numpy=2.1 or 'numpy>=2'.")
]

FileOption = Annotated[
    str,
    Option("-r,--requirement", "Install what this file lists, as `tljh env apply` does.", "FILE"),
]

BundleOption = Annotated[
    str,
    Option(
        "--bundle", "Take the packages from a bundle; without SPEC, all it was made with.", "FILE"
    ),
]

NamesArgument = Annotated[list[str], Argument("NAME", "Installed packages.")]

UpdatedArgument = Annotated[
    list[str] | None, Argument("SPEC", "Packages to update; without them, all of conda's.")
]

PipOption = Annotated[bool, Option("--pip", "Packages of PyPI, by pip's rules.")]

DryRunOption = Annotated[bool, Option("--dry-run", "Print the plan; change nothing.")]

YesOption = Annotated[bool, Option("--yes", "Do not ask.")]


@dataclass(frozen=True)
class Answers:
    """Options of each command that changes packages."""

    env: str
    dry_run: bool
    yes: bool
    as_json: bool


def install(
    spec: SpecsArgument = None,
    *,
    pip: PipOption = False,
    file: FileOption = "",
    bundle: BundleOption = "",
    env: EnvOption = "",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: bool = False,
) -> Summary:
    """Install packages for all users: plan, ask, apply, check; rolled back if the check fails."""
    answers = Answers(env, dry_run, yes, as_json)
    specs = [_make_path_absolute(text) if pip else text for text in spec or ()]
    if (file and (specs or bundle)) or not (file or specs or bundle):
        raise TljhError(
            "env install takes either packages or a file",
            fix="tljh env install SPEC..., or tljh env install -r FILE; --bundle FILE with or "
            "without SPEC",
            exit_code=Exit.USAGE,
        )
    if file:
        return apply_file(file, answers)
    if bundle:
        return _install_from_bundle(Path(bundle).absolute(), specs, pip=pip, answers=answers)
    return _change("install", specs, pip=pip, answers=answers)


def _install_from_bundle(
    path: Path, specs: Sequence[str], *, pip: bool, answers: Answers
) -> Summary:
    host = RealHost()
    with (
        choose_environment(answers.env) as paths,
        taking_packages_from(host, paths, path) as bundle,
    ):
        chosen = choose_specs(bundle.manifest, path, specs, is_pip=pip)
        request = PackageRequest("install", tuple(chosen), is_pip=pip)
        sources = replace(read_sources(host, paths), channels=(bundle.channel,))
        planned = operations.plan_changes(host, paths, request, sources)
        return _change_as_planned(paths, planned, sources, answers)


def _make_path_absolute(spec: str) -> str:
    """Return the absolute path of a file or directory, such as ./wheel.whl; other specs as is."""
    path = Path(spec)
    return str(path.absolute()) if "/" in spec and path.exists() else spec


def remove(
    name: NamesArgument,
    *,
    pip: PipOption = False,
    env: EnvOption = "",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: bool = False,
) -> Summary:
    """Remove packages, what needs them, and what nothing needs any more."""
    return _change("remove", name, pip=pip, answers=Answers(env, dry_run, yes, as_json))


def update(
    spec: UpdatedArgument = None,
    *,
    pip: PipOption = False,
    env: EnvOption = "",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: bool = False,
) -> Summary:
    """Update packages to the newest versions that fit all others."""
    return _change("update", spec or [], pip=pip, answers=Answers(env, dry_run, yes, as_json))


def _change(action: Action, specs: Sequence[str], *, pip: bool, answers: Answers) -> Summary:
    host = RealHost()
    request = PackageRequest(action, tuple(specs), is_pip=pip)
    with choose_environment(answers.env) as paths:
        sources = read_sources(host, paths)
        planned = operations.plan_changes(host, paths, request, sources)
        return _change_as_planned(paths, planned, sources, answers)


def apply_file(file: str, answers: Answers) -> Summary:
    """Make the environment as a file declares it."""
    host = RealHost()
    with choose_environment(answers.env) as paths:
        sources = read_sources(host, paths)
        planned = plan_file(host, paths, make_source_absolute(file), sources)
        return _change_as_planned(paths, planned, sources, answers)


def _change_as_planned(
    paths: Paths, planned: PackagePlan, sources: PackageSources, answers: Answers
) -> Summary:
    """Print a plan, ask, and make its changes."""
    host = RealHost()
    data = _describe(planned)
    if not planned:
        return Summary(("nothing to do: the user environment is so already",), data)
    text = format_plan(planned)
    if answers.dry_run:
        return Summary((text,), data)
    confirm(text, "Make these changes?", yes=answers.yes)
    # Imported late: it loads all parts of the hub, which a plan does without.
    from tljh.operations.env_changes import change

    number = change(host, paths, planned, sources, choose_progress_on_stderr(answers.as_json))
    count = format_count(len(planned.changes), "package")
    line = f"{count} changed. Saved as snapshot {number}; the way back: sudo tljh env rollback"
    line = name_commands(line, answers.env)
    lines = (text, line) if answers.yes else (line,)
    return Summary(lines, {**data, "snapshot": number})


def _describe(planned: PackagePlan) -> dict[str, Any]:
    return {
        "changes": [vars(change) for change in planned.changes],
        "warnings": list(planned.warnings),
        "snapshot": None,
    }


def format_plan(planned: PackagePlan) -> str:
    """Return the changes, what happens to the other program's packages, and the download."""
    lines = [change.as_text() for change in planned.changes]
    lines += [f"! {warning}" for warning in planned.warnings]
    download = sum(change.download for change in planned.changes)
    if download:
        lines.append(f"to download: {download / 1e6:.1f} MB")
    return "\n".join(lines)


@dataclass(frozen=True)
class PrintedPackages:
    """Rows of packages, each with a name and more columns."""

    rows: Sequence[dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        return {"packages": list(self.rows)}

    def as_text(self) -> str:
        columns = [[_format_cell(cell) for cell in row.values()] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*columns, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in columns
        )


def _format_cell(cell: str | list[str]) -> str:
    return cell if isinstance(cell, str) else ", ".join(cell)


def list_packages(*, env: EnvOption = "") -> PrintedPackages:
    """List the packages of an environment: name, version, build and channel, or pip."""
    with choose_environment(env) as paths:
        return PrintedPackages(operations.list_packages(RealHost(), paths))


def search(
    text: Annotated[str, Argument("TEXT", "A part of a package's name.")],
) -> PrintedPackages:
    """Search the channels for packages, and print their newest versions."""
    return PrintedPackages(operations.search(RealHost(), get_paths(), text))
