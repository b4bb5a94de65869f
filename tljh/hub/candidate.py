"""A configuration that is tried before it is applied: its files, and the process that loads it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.path_groups import AppliedFiles, HubEnvironmentFiles
from tljh.base.paths import Paths
from tljh.base.well_known import HUB_UNIT
from tljh.engine.facts import Facts, choose_mode, find_parent_directories
from tljh.host.command_environment import SYSTEM_DIRECTORIES
from tljh.host.interface import Host, HostReader, Result
from tljh.hub.configuration import as_json, build_hub_configuration
from tljh.hub.facts import DROP_INS

if TYPE_CHECKING:
    from tljh.settings.root import Config


@contextmanager
def build_candidate(
    host: Host, paths: Paths, config: Config, facts: Facts, selection: bytes = b""
) -> Iterator[AppliedFiles]:
    """Write what the hub would load to a private directory, for the duration of the block.

    `selection` names the plugins to leave out; by default, those of the running hub.
    """
    files, drop_ins = paths.candidate(os.getpid()), facts.files_in(DROP_INS)
    try:
        host.mkdir(files.directory, mode=0o700)
        host.mkdir(files.drop_ins, mode=0o700)
        host.write(files.hub_file, as_json(build_hub_configuration(config, paths)), mode=0o600)
        selection = selection or host.read(paths.applied.plugins) or b""
        host.write(files.plugins, selection, mode=0o600)
        for name in find_parent_directories(drop_ins):
            host.mkdir(files.drop_ins / name, mode=0o700)
        for name, data in drop_ins.items():
            host.write(files.drop_ins / name, data, mode=choose_mode(data))
        yield files
    finally:
        host.remove(files.directory)


@dataclass(frozen=True)
class UnitEnvironment:
    """What the hub's unit gives to its process, the admin's `systemctl edit` included."""

    variables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    working_directory: str | None = None


# A value of `systemctl show -p Environment`, in double quotes where it needs them.
_ASSIGNMENT = re.compile(r'"(?P<quoted>(?:\\.|[^"\\])*)"|(?P<plain>\S+)')
_ESCAPE = re.compile(r"\\(.)")
_FILE = re.compile(r"(?P<path>.*) \(ignore_errors=(?P<optional>yes|no)\)")
_PROPERTIES = ("Environment", "EnvironmentFiles", "WorkingDirectory")


def read_unit_environment(host: HostReader, unit: str = HUB_UNIT) -> UnitEnvironment:
    """Read the environment of a unit as systemd loaded it; empty for a unit that is missing."""
    options = [argument for name in _PROPERTIES for argument in ("-p", name)]
    answer = host.query(["systemctl", "show", unit, *options])
    variables: list[str] = []
    files: list[str] = []
    working_directory = None
    for line in answer.out.splitlines() if answer.ok else ():
        name, _, value = line.partition("=")
        if name == "Environment":
            variables += map(_unquote_assignment, _ASSIGNMENT.finditer(value))
        elif name == "EnvironmentFiles" and (match := _FILE.fullmatch(value)):
            files.append("-" * (match["optional"] == "yes") + match["path"])
        elif name == "WorkingDirectory":
            working_directory = value.lstrip("!-") or None
    return UnitEnvironment(tuple(variables), tuple(files), working_directory)


def _unquote_assignment(match: re.Match[str]) -> str:
    quoted = match["quoted"]
    return match["plain"] if quoted is None else _ESCAPE.sub(r"\1", quoted)


def run_like_the_hub(
    host: HostReader,
    paths: Paths,
    facts: Facts,
    files: AppliedFiles,
    module: str,
    *,
    timeout_s: float,
) -> Result:
    """Run a module of the hub environment on a candidate, as the hub's unit would run it.

    systemd runs it, with the unit's variables, files of variables and working directory, and with
    the candidate's drop-ins at the admin's directory: a drop-in reads the same as in the hub.
    """
    unit = read_unit_environment(host)
    _refuse_missing(host, unit)
    environment = HubEnvironmentFiles(facts.hub_environment)
    # An upgrade tries its environment before the hub's link leads there.
    variables = [
        text.replace(str(paths.hub_files.bin_dir), str(environment.bin_dir))
        for text in unit.variables
    ]
    variables += [f"TLJH_APPLIED={files.directory}", f"TLJH_INSTALL_PREFIX={paths.prefix}"]
    if not any(text.startswith("PATH=") for text in variables):
        variables.append(f"PATH={os.pathsep.join((str(environment.bin_dir), *SYSTEM_DIRECTORIES))}")
    properties = [
        *(f"EnvironmentFile={file}" for file in unit.files),
        # "-": before the first installation is applied there is none.
        f"WorkingDirectory=-{unit.working_directory or paths.state_dir}",
        f"RuntimeMaxSec={timeout_s:g}",
        "UMask=0077",
    ]
    if host.info(paths.hub_drop_ins) is not None:
        properties.append(f"BindReadOnlyPaths={files.drop_ins}:{paths.hub_drop_ins}")
    return host.query(
        [
            *("systemd-run", "--quiet", "--wait", "--pipe", "--collect"),
            *(f"--setenv={text}" for text in variables),
            *(f"--property={text}" for text in properties),
            *("--", str(environment.python), "-I", "-m", module),
        ],
        timeout_s=timeout_s,
    )


def _refuse_missing(host: HostReader, unit: UnitEnvironment) -> None:
    """Raise TljhError if an EnvironmentFile= of a unit is missing: systemd would not start it."""
    for file in unit.files:
        if not file.startswith("-") and host.info(Path(file), follow=True) is None:
            raise TljhError(
                f"{HUB_UNIT} has EnvironmentFile={file}, which does not exist",
                why="systemd would not start the hub",
                fix=f"create it, or remove the line: sudo systemctl edit {HUB_UNIT}",
            )
