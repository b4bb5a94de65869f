"""What takes the space of the disks, and the pruning of what may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.host.accounts import find_managed_accounts
from tljh.host.interface import Host, HostReader
from tljh.operations.checks import examine_machine
from tljh.operations.converge import LOCK_TIMEOUT_S
from tljh.operations.unused_environments import find_unused_environments

if TYPE_CHECKING:
    from tljh.settings.root import Config

# A home with millions of files on a busy disk.
_DIRECTORIES_AT_ONCE = 500
MEASURE_TIMEOUT_S = 1800.0
CLEAN_TIMEOUT_S = 600.0
# What no program has read for so long is fetched again when it is needed.
UNUSED_DAYS = 30
# Without a limit in the settings: what a month of a busy hub has.
JOURNAL_KEPT = "1G"


@dataclass(frozen=True)
class DiskFree:
    """A file system that the hub uses, with what is used and free."""

    mount: str
    size_bytes: int
    used_bytes: int
    free_bytes: int

    @property
    def percent(self) -> int:
        return round(100 * self.used_bytes / max(self.used_bytes + self.free_bytes, 1))


@dataclass(frozen=True)
class Usage:
    """One thing that takes space; `fix` says how to have less of it."""

    name: str
    path: str
    size_bytes: int
    fix: str = ""


@dataclass(frozen=True)
class DiskReport:
    """All file systems, what the hub has on them, and the homes, largest first."""

    file_systems: Sequence[DiskFree]
    usages: Sequence[Usage]
    homes: Sequence[Usage]


def measure_disks(host: HostReader, paths: Paths) -> DiskReport:
    """Measure it all; with large homes this takes minutes. Raises TljhError if no hub is here."""
    config = examine_machine(host, paths).config
    if config is None:
        raise TljhError(
            f"there is no working configuration of a hub at {paths.prefix}", fix="sudo tljh status"
        )
    places = list_places(config, paths)
    sizes = _measure(host, [usage.path for usage in places])
    usages = [
        Usage(each.name, each.path, sizes[each.path], each.fix)
        for each in places
        if each.path in sizes
    ]
    homes = measure_homes(host)
    return DiskReport(
        _read_file_systems(host, config, paths),
        sorted(usages, key=lambda usage: -usage.size_bytes),
        homes,
    )


def list_places(config: Config, paths: Paths) -> list[Usage]:
    """Return what may grow, apart from homes."""
    clean = "sudo tljh disk --clean"
    places = [
        Usage("packages of all users", str(paths.user), 0, "sudo tljh env remove PACKAGE"),
        Usage("named environments", str(paths.environments), 0, "sudo tljh env delete NAME"),
        Usage("hub environments and snapshots", str(paths.versions), 0, "sudo tljh env history"),
        Usage("state and database", str(paths.state_dir), 0),
        Usage("archived homes", str(paths.archived_homes), 0, "sudo tljh user archive; then rm"),
        Usage("shared folders", str(Paths.shared_folders), 0),
        Usage("downloads and caches", str(Paths.cache), 0, clean),
        Usage("Debian packages that were installed", "/var/cache/apt", 0, clean),
        Usage("logs in the journal", "/var/log/journal", 0, clean),
        Usage("other logs", "/var/log", 0),
    ]
    repository = config.backup.repository
    if repository is not None and repository.startswith("/"):
        places.append(Usage("backups", repository, 0, "sudo tljh backup forget"))
    return places


def measure_homes(host: HostReader) -> list[Usage]:
    """Return the size of each user's home, largest first."""
    homes = {user.home: user.name for user in find_managed_accounts(host)}
    sizes = _measure(host, list(homes))
    usages = [Usage(name, home, sizes[home]) for home, name in homes.items() if home in sizes]
    return sorted(usages, key=lambda usage: -usage.size_bytes)


def _measure(host: HostReader, directories: Sequence[str]) -> dict[str, int]:
    """Return the bytes of each directory that exists; each file counts once for each of them."""
    sizes = {}
    for directory in directories:
        # One du for each: in one run, a file that two of them have would count for the first only.
        argv = ["du", "--summarize", "--one-file-system", "--block-size=1", "--", directory]
        # A file that goes meanwhile makes du fail; what it printed still counts.
        number = host.query(argv, timeout_s=MEASURE_TIMEOUT_S).out.partition("\t")[0]
        if number.isdigit():
            sizes[directory] = int(number)
    return sizes


def measure_directories(host: HostReader, directories: Sequence[str]) -> dict[str, int]:
    """Return the bytes of many directories, with few processes.

    A file that two of them have counts once. A directory without a number could not be read.
    """
    sizes = {}
    for start in range(0, len(directories), _DIRECTORIES_AT_ONCE):
        some = directories[start : start + _DIRECTORIES_AT_ONCE]
        argv = ["du", "--summarize", "--one-file-system", "--block-size=1", "--null", "--", *some]
        for entry in host.query(argv, timeout_s=MEASURE_TIMEOUT_S).out.split("\0"):
            number, _, directory = entry.partition("\t")
            if number.isdigit():
                sizes[directory] = int(number)
    return sizes


def _read_file_systems(host: HostReader, config: Config, paths: Paths) -> list[DiskFree]:
    argv = ["df", "--output=target,size,used,avail", "-B1", "/", config.users.home_root]
    lines = host.query([*argv, str(paths.prefix)]).out.splitlines()[1:]
    systems = []
    for line in dict.fromkeys(lines):
        mount, size, used, free = line.rsplit(maxsplit=3)
        systems.append(DiskFree(mount, int(size), int(used), int(free)))
    return systems


def clean_disks(host: Host, paths: Paths, progress: Progress) -> int:
    """Prune caches and old logs; return how many bytes are free now that were not before.

    Hub environments that nothing uses go, too: only what is fetched or made again when it is
    needed. Works on a full disk.
    """
    config = examine_machine(host, paths).config
    kept = config.housekeeping.journal if config else None
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        before = _read_free(host)
        for what, argv in _list_prunings(paths, kept or JOURNAL_KEPT):
            with progress.step(what):
                done = host.run(argv, timeout_s=CLEAN_TIMEOUT_S)
            if not done.ok:
                progress.note(f"{what}: {(done.err or done.out).strip()[-300:]}")
        for environment in find_unused_environments(host, paths):
            with progress.step(f"remove {environment}, a hub environment that nothing uses"):
                host.remove(environment)
        return max(0, _read_free(host) - before)


def _list_prunings(paths: Paths, journal: str) -> list[tuple[str, list[str]]]:
    unused = ["-type", "f", "-atime", f"+{UNUSED_DAYS}", "-mtime", f"+{UNUSED_DAYS}", "-delete"]
    top = ["-maxdepth", "1", "-type", "f"]
    archives = ["(", "-name", "*.conda", "-o", "-name", "*.tar.bz2", ")"]
    return [
        ("remove Debian packages that were installed", ["apt-get", "clean"]),
        (f"keep {journal} of the journal", ["journalctl", f"--vacuum-size={journal}"]),
        ("prune downloads", ["find", str(Paths.cache), "-xdev", *unused]),
        # Their content is unpacked next to them, and linked into the environments.
        (
            "remove conda packages that are unpacked",
            ["find", str(paths.package_cache), *top, *archives, "-delete"],
        ),
    ]


def _read_free(host: HostReader) -> int:
    lines = host.query(["df", "--output=avail", "-B1", "/", str(Path("/var"))]).out.split()
    return max((int(text) for text in lines if text.isdigit()), default=0)
