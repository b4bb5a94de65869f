"""Packages of presets, which pip installs next to what the user environment has.

A preset whose package is there already, from an admin, leaves it alone for good: only what a preset
has installed is removed when the preset goes. The environment's marker says which that is.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.conda.engine import ask_worker, find_uv
from tljh.conda.environment import (
    RequiredPackage,
    UserEnvironment,
    compute_digest,
    find_missing_packages,
)
from tljh.host.interface import HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class PresetPackage:
    """A package that `setting` asks for; `parts` are packages of it that are removed with it."""

    setting: str
    required: RequiredPackage
    parts: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        """The entry of the environment's marker for a package that the preset has installed."""
        return compute_digest(f"preset {self.required.name}")


NBGRADER = PresetPackage(
    "presets.nbgrader.courses", RequiredPackage("nbgrader", ">=0.9.5", at_least="0.9.5")
)

COLLABORATION = PresetPackage(
    "presets.collaboration.groups",
    RequiredPackage("jupyter-collaboration", ">=3.0", at_least="3.0"),
    (
        *("jupyter-collaboration-ui", "jupyter-docprovider"),
        *("jupyter-server-ydoc", "jupyter-server-fileid"),
    ),
)

PRESETS = (NBGRADER, COLLABORATION)

# A preset must not replace these, which servers of all users run: a version of its package is
# chosen that works with them.
_KEPT = ("jupyterlab", "notebook", "jupyter-server", "jupyterhub", "ipykernel", "ipywidgets")


@dataclass(frozen=True)
class PresetChanges:
    """What pip installs and removes for presets.

    `lines` describe it in a plan; `constraints` are the versions that were chosen. `added` and
    `dropped` are entries of the environment's marker.
    """

    requirements: tuple[str, ...] = ()
    uninstall: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    added: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.requirements or self.uninstall)


def list_preset_packages(config: Config) -> tuple[PresetPackage, ...]:
    """Return the packages of the presets that the configuration has."""
    presets = config.presets
    return (
        *((NBGRADER,) if presets.nbgrader.courses else ()),
        *((COLLABORATION,) if presets.collaboration.groups else ()),
    )


def plan_presets(
    host: HostReader,
    paths: Paths,
    environment: UserEnvironment | None,
    presets: Collection[PresetPackage],
) -> PresetChanges:
    """Return what changes in an environment; None for one that is not there yet.

    Versions are chosen now, so that an index that is out of reach fails the plan. Raises TljhError.
    """
    current = environment or UserEnvironment()
    missing = [each for each in presets if find_missing_packages(current, [each.required])]
    gone = [each for each in PRESETS if each not in presets and each.mark in current.requirements]
    installed = [name for each in gone for name in (each.required.name, *each.parts)]
    uninstall = tuple(name for name in installed if name in current.distributions)
    specs = tuple(each.required.spec for each in missing)
    lines, constraints = [f"- {name} {current.distributions[name]}" for name in uninstall], []
    if specs and environment is not None:
        constraints = [
            f"{name}=={current.distributions[name]}"
            for name in _KEPT
            if name in current.distributions
        ]
        fields = {
            "operation": "plan_pip",
            "prefix": str(paths.user),
            "action": "install",
            "specs": list(specs),
            "constraints": constraints,
            "uv": find_uv(),
        }
        try:
            answer = ask_worker(host, paths, fields, ())
        except TljhError as error:
            raise _explain(error, missing) from error
        constraints += answer["constraints"]
        for row in answer["changes"]:
            version = f"{row['old']} -> {row['new']}" if row["old"] else row["new"]
            lines.append(f"{'~' if row['old'] else '+'} {row['name']} {version}")
    return PresetChanges(
        specs,
        uninstall,
        tuple(lines),
        tuple(constraints),
        frozenset(each.mark for each in missing),
        frozenset(each.mark for each in gone),
    )


def _explain(error: TljhError, missing: Collection[PresetPackage]) -> TljhError:
    """Return an error that names the settings, with the reason of pip's."""
    names = " and ".join(each.required.name for each in missing)
    settings = " ".join(each.setting for each in missing)
    return TljhError(
        [
            Finding(
                f"{names} cannot be installed, which {settings} needs",
                why=finding.why or finding.what,
                fix="check that this machine reaches the package index (user_environment.pip, "
                "user_environment.proxy), then run the command again; without the preset: "
                + "; ".join(f"sudo tljh-config unset {quote(each.setting)}" for each in missing),
            )
            for finding in error.findings
        ]
    )
