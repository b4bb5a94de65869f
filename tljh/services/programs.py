"""The program of a service: where it is, and whether the service's account can read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.base.tcp_sockets import find_listening_sockets, find_owner_processes, read_process_name
from tljh.base.well_known import HUB_UNIT, SERVICE_UNITS
from tljh.host.command_environment import SYSTEM_DIRECTORIES
from tljh.host.interface import HostReader
from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.keys import format_key

if TYPE_CHECKING:
    from tljh.settings.root import Config
    from tljh.settings.sections.services import ServiceSettings

# Words of a command with these endings are files, wherever they are in it.
_SCRIPTS = (".py", ".sh", ".js", ".mjs", ".rb", ".pl", ".R", ".jl")

# The unit sees none of these: ProtectHome=.
_HIDDEN = ("/home", "/root", "/run/user")


def find_program(host: HostReader, paths: Paths, name: str) -> Path | None:
    """Return the path of a program: of the hub environment, or of the system; None if missing."""
    if "/" in name:
        return Path(name) if _is_executable(host, Path(name)) else None
    for directory in (paths.hub_files.bin_dir, *map(Path, SYSTEM_DIRECTORIES)):
        if _is_executable(host, directory / name):
            return directory / name
    return None


def _is_executable(host: HostReader, path: Path) -> bool:
    info = host.info(path, follow=True)
    return info is not None and info.kind == "file" and bool(info.mode & 0o111)


def find_program_problems(config: Config, host: HostReader, paths: Paths) -> Iterator[Problem]:
    """Yield what stops a service from starting on this machine, before anything restarts."""
    for name, service in config.services.managed.items():
        path: KeyPath = ("services", name)
        yield from _check_command(config, host, paths, name, service)
        if service.user and host.user(service.user) is None:
            yield Problem(
                (*path, "user"),
                f"{format_key((*path, 'user'))} names an account that does not exist: "
                f"{service.user}",
                fix=f"sudo tljh-config unset {quote(format_key((*path, 'user')))} "
                "(the service gets an account of its own)",
            )
        directories = [("directory", service.directory)] if service.directory else []
        directories += [("writable", directory) for directory in service.writable]
        for key, directory in directories:
            info = host.info(Path(directory), follow=True)
            if info is None or info.kind != "directory":
                yield Problem(
                    (*path, key),
                    f"{format_key((*path, key))} names a directory that does not exist: "
                    f"{directory}",
                    fix=f"sudo mkdir -p {quote(directory)}",
                )
        if service.port:
            yield from _check_port(name, service.port)


def _check_command(
    config: Config, host: HostReader, paths: Paths, name: str, service: ServiceSettings
) -> Iterator[Problem]:
    path: KeyPath = ("services", name, "command")
    key, program = format_key(path), service.command[0]
    # A package of hub.packages may bring it: the environment is built in the same change.
    may_come = "/" not in program and bool(config.hub.packages)
    if find_program(host, paths, program) is None and not may_come:
        words = program.split()
        if len(words) > 1 and find_program(host, paths, words[0]):
            value = quote(f"[{', '.join(words)}]")
            fix = f"write its words apart: sudo tljh-config set {quote(key)} {value}"
        elif "/" in program and not program.startswith("/"):
            fix = "write the whole path of the program, from / on"
        elif host.info(Path(program), follow=True) is not None:
            fix = f"sudo chmod a+rx {quote(program)}"
        else:
            fix = (
                "correct its path, or install it; a Python package: "
                "sudo tljh-config add-item hub.packages NAME"
            )
        yield Problem((*path, 0), f"the program of {key} is not there: {program}", fix=fix)
    for index, word in enumerate(service.command):
        file = Path(service.directory or "/", word)
        is_script = index > 0 and word.endswith(_SCRIPTS) and not word.startswith("-")
        if is_script and not word.startswith("/") and service.directory is None:
            yield Problem(
                (*path, index),
                f"{key} names {word} without its directory",
                fix="write its whole path, or: "
                f"sudo tljh-config set {quote(f'services.{name}.directory')} DIR",
            )
        elif is_script and host.info(file, follow=True) is None:
            what = f"{key} names a file that does not exist: {file}"
            yield Problem((*path, index), what, fix="correct the path, or create the file")
        elif (index == 0 or is_script) and file.is_absolute() and (is_script or "/" in word):
            yield from _check_access(host, (*path, index), file, service.user)


def _check_access(
    host: HostReader, path: KeyPath, file: Path, user: str | None
) -> Iterator[Problem]:
    """Yield why the service's account cannot read a file of its command."""
    copy = f"sudo install -D -m 755 {quote(str(file))} {quote(f'/srv/{file.name}')}"
    if any(file.is_relative_to(directory) for directory in _HIDDEN):
        yield Problem(
            path,
            f"the service cannot read {file}",
            why="services do not see people's homes",
            fix=f"move it, and name the new place: {copy}",
        )
        return
    if user is not None:
        return
    for each in (file, *file.parents):
        info = host.info(each, follow=True)
        needed, access = (0o004, "o+r") if each == file else (0o001, "o+x")
        if info is not None and not info.mode & needed:
            yield Problem(
                path,
                f"the service cannot read {file}",
                why=f"{each} is closed to other accounts than {info.owner}: mode {info.mode:04o}",
                fix=f"sudo chmod {quote(access)} {quote(str(each))}",
            )
            return


def _check_port(name: str, port: int) -> Iterator[Problem]:
    """Yield a problem if a program listens on a port that is no service of the hub."""
    inodes = [sock.inode for sock in find_listening_sockets([port])]
    for pid in find_owner_processes(inodes).values():
        try:
            unit = Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            continue
        # A service that had the port until now is restarted or removed by the same change.
        if HUB_UNIT not in unit and f"/{SERVICE_UNITS.partition('*')[0]}" not in unit:
            yield Problem(
                ("services", name, "port"),
                f"services.{name}.port is {port}, where another program listens: "
                f"{read_process_name(pid)} (process {pid})",
                fix="choose another port, or stop the program: "
                f"sudo ss -ltnp sport = {quote(f':{port}')}",
            )
            return
