"""Moving the homes of all users to another directory, on another disk for example.

Each home is one change: its user's server stops, the home is copied and compared, and the account
is switched. A move that was interrupted goes on where it was when the command runs again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from tljh.base.errors import Exit, Place, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress, format_count
from tljh.base.sizes import format_size
from tljh.engine.apply import ChangeContext, apply, get_caller_name, recover
from tljh.engine.file_resources import Directory, File
from tljh.engine.journal import Journal
from tljh.engine.plan import plan
from tljh.engine.resource import Resource
from tljh.host.accounts import find_managed_accounts, get_login
from tljh.host.interface import Host, HostReader
from tljh.operations.converge import LOCK_TIMEOUT_S, converge
from tljh.operations.disk_usage import measure_homes
from tljh.operations.install_and_reload import make_reload_request
from tljh.operations.installed_config import (
    edit_configuration,
    get_config_lock,
    load_configuration,
    read_installed_configuration,
)
from tljh.operations.user_passwords import connect_to_hub
from tljh.settings.declaration import KeyPath
from tljh.settings.yaml_edit import set_value
from tljh.users.moved_home import KEPT, MovedHome

HOME_ROOT: KeyPath = ("users", "home_root")

# It is there while the disk is mounted. Without it no server starts, and no empty home is made.
MARKER = ".tljh-homes"
MARKER_TEXT = b"The home directories of this machine's JupyterHub are here.\n"

# File systems that forget everything, or that have no owners.
UNFIT = ("tmpfs", "ramfs", "vfat", "exfat", "ntfs", "ntfs3", "fuseblk", "iso9660", "squashfs")
SPARE_BYTES = 256 << 20


@dataclass(frozen=True)
class Mount:
    """The file system of a directory."""

    point: str
    kind: str
    source: str
    free_bytes: int


@dataclass(frozen=True)
class HomesMove:
    """What a move comes to. `current` is the directory of the homes now."""

    directory: Path
    current: Path
    mount: Mount
    homes: Sequence[MovedHome]
    notes: Sequence[str] = ()

    @property
    def size_bytes(self) -> int:
        return sum(home.size_bytes for home in self.homes)

    def as_lines(self) -> list[str]:
        """Return the plan as text: where to, each home, and what users notice."""
        mount = self.mount
        lines = [
            f"{self.directory} is on {mount.source} ({mount.kind}, mounted at {mount.point}), "
            f"{format_size(mount.free_bytes)} free",
            *(
                f"~ {home.old} -> {home.target / home.account} ({format_size(home.size_bytes)})"
                for home in self.homes
            ),
        ]
        if self.homes:
            lines.append(
                f"{format_count(len(self.homes), 'home')}, {format_size(self.size_bytes)}: one "
                "after the other; meanwhile the server of its user stops, and can be started after"
            )
        if self.current != self.directory:
            lines.append(f"~ users.home_root {self.current} -> {self.directory}")
        return [*lines, *self.notes]


@dataclass(frozen=True)
class HomesMoved:
    """The result of a move: the accounts, and where the homes before it are kept."""

    accounts: Sequence[str]
    kept: Sequence[Path]


def plan_move(host: HostReader, paths: Paths, directory: Path) -> HomesMove:
    """Work out a move. Raises TljhError for a directory that cannot hold the homes."""
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    if config.users.accounts != "managed":
        raise TljhError(
            "the home directories are those of the machine's own accounts",
            why="users.accounts is existing, so tljh changes no account",
            fix="move one by one: sudo usermod --move-home --home NEW NAME",
        )
    current = Path(config.users.home_root)
    _require_fit_place(host, paths, directory)
    mount = _read_mount(host, directory)
    if mount.kind in UNFIT:
        raise TljhError(
            f"{directory} cannot hold home directories",
            where=Place(mount.point),
            why=f"it is on {mount.kind}, which keeps no files or no owners",
            fix="use a disk with ext4, XFS, btrfs or ZFS",
        )
    users = [
        user
        for user in find_managed_accounts(host)
        if _is_to_move(host, Path(user.home), directory)
    ]
    # It reads all homes, which takes minutes: not for a move that has nothing left to do.
    sizes = {usage.name: usage.size_bytes for usage in measure_homes(host)} if users else {}
    homes = [
        MovedHome(user.name, Path(user.home), directory, sizes.get(user.name, 0)) for user in users
    ]
    for home in homes:
        _require_free_place(host, home)
    needed = sum(home.size_bytes for home in homes) + SPARE_BYTES
    if homes and needed > mount.free_bytes:
        raise TljhError(
            f"there is no room for the homes in {directory}",
            why=f"{format_size(needed)} are needed, and {format_size(mount.free_bytes)} are free",
            fix="use a larger disk, or list what takes room: sudo tljh disk",
        )
    return HomesMove(directory, current, mount, homes, tuple(_warn(host, directory, mount)))


def _is_to_move(host: HostReader, home: Path, directory: Path) -> bool:
    info = host.info(home)
    return home.parent != directory and info is not None and info.kind == "directory"


def _require_fit_place(host: HostReader, paths: Paths, directory: Path) -> None:
    users = {Path(user.home) for user in find_managed_accounts(host)}
    inside = next((home for home in users if directory.is_relative_to(home)), None)
    forbidden = ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", str(paths.prefix))
    why = None
    if not directory.is_absolute() or directory == Path("/") or ".." in directory.parts:
        why = "it has to be the path of a directory, from /"
    elif inside is not None:
        why = f"it is in {inside}, the home of a user"
    elif any(directory.is_relative_to(place) for place in forbidden):
        why = "what is there is deleted at times, or belongs to tljh"
    if why is not None:
        raise TljhError(
            f"{directory} cannot hold home directories",
            why=why,
            fix="choose another, for example: sudo tljh homes move /data/home",
            exit_code=Exit.USAGE,
        )
    for parent in reversed((directory, *directory.parents)):
        info = host.info(parent)
        if info is None:
            continue
        if info.kind != "directory" or info.owner != "root" or info.mode & 0o022:
            raise TljhError(
                f"{directory} cannot hold home directories",
                where=Place(str(parent)),
                why="every directory on the way has to be one that only root can change",
                fix=f"sudo chown root: {quote(str(parent))} && sudo chmod 755 {quote(str(parent))}",
            )


def _require_free_place(host: HostReader, home: MovedHome) -> None:
    new = home.target / home.account
    info = host.info(new)
    # A link of root is that of an earlier move away from there.
    if info is None or (info.kind == "symlink" and info.owner == "root"):
        return
    raise TljhError(
        f"{new} is there already",
        why=f"it is a {info.kind} of {info.owner}, and the home of {home.account} is {home.old}",
        fix=f"look at it, then move it away: sudo mv {quote(str(new))} {quote(f'{new}.old')}",
    )


def _read_mount(host: HostReader, directory: Path) -> Mount:
    existing = next(path for path in (directory, *directory.parents) if host.info(path))
    argv = ["df", "--output=avail,fstype,source,target", "-B1", "--", str(existing)]
    lines = host.query(argv).out.splitlines()
    if len(lines) < 2:
        raise TljhError(f"the file system of {existing} cannot be read")
    free, kind, source, point = lines[-1].split(maxsplit=3)
    return Mount(point, kind, source, int(free))


def _warn(host: HostReader, directory: Path, mount: Mount) -> Iterator[str]:
    if mount.point == "/":
        yield (
            f"note: {directory} is on the disk of the system, which the homes can fill; mount "
            "another disk there first"
        )
    elif not host.query(["findmnt", "--fstab", "--noheadings", "--target", mount.point]).ok:
        yield (
            f"warning: {mount.point} is not in /etc/fstab; without a line there, no home and so no "
            "server is there after a reboot"
        )


def move_homes(host: Host, paths: Paths, directory: Path, progress: Progress) -> HomesMoved:
    """Move all homes and set users.home_root. Raises TljhError; homes that were moved stay moved.

    Users who come meanwhile get their homes in the old directory, and are moved at the end.
    """
    accounts: list[str] = []
    old_roots: set[Path] = set()
    for is_last in (False, True):
        planned = plan_move(host, paths, directory)
        _change(host, paths, directory, _prepare(host, directory), progress)
        for home in planned.homes:
            _stop_servers(host, paths, home.account)
            _change(host, paths, directory, [home], progress)
            accounts.append(home.account)
            old_roots.add(home.old.parent)
        if not is_last:
            marker = File(paths.homes_marker, f"{directory / MARKER}\n".encode(), mode=0o600)
            _change(host, paths, directory, [marker], progress)
            _set_home_root(host, paths, directory, progress)
    kept = [root / KEPT for root in sorted(old_roots) if host.listdir(root / KEPT)]
    return HomesMoved(tuple(accounts), tuple(kept))


def _prepare(host: HostReader, directory: Path) -> list[Resource]:
    missing = [path for path in directory.parents if host.info(path) is None]
    return [
        *(Directory(path, 0o755) for path in reversed(missing)),
        Directory(directory, 0o755),
        File(directory / MARKER, MARKER_TEXT),
    ]


def _change(
    host: Host, paths: Paths, directory: Path, resources: Sequence[Resource], progress: Progress
) -> None:
    journal = Journal(paths.journal_dir)
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        recover(host, journal, progress, get_config_lock(host, paths))
        files = journal.last_files(host) or {}
        command = f"homes move {directory}"
        context = ChangeContext(get_caller_name(), command, files, is_state=False)
        apply(
            plan(resources, host),
            host,
            journal,
            context,
            progress=progress,
            # The hub reads the home from the account at each start, so it has nothing to load.
            health=lambda: None,
            health_title="keep the change",
        )


def _stop_servers(host: Host, paths: Paths, account: str) -> None:
    """Stop a user's servers through the hub, which then shows that they are stopped."""
    user = host.user(account)
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    if user is not None:
        # The move itself stops what a hub that is down leaves.
        with contextlib.suppress(TljhError):
            connect_to_hub(host, paths, config).act("stop-servers", get_login(user))


def _set_home_root(host: Host, paths: Paths, directory: Path, progress: Progress) -> None:
    request = make_reload_request(host, paths, f"homes move {directory}")
    request = replace(
        request,
        configuration=edit_configuration(
            host,
            paths,
            lambda text: set_value(text, HOME_ROOT, str(directory)),
            key_path=HOME_ROOT,
        ),
    )
    converge(host, paths, request, progress)


def list_kept_homes(host: HostReader) -> dict[Path, list[str]]:
    """Return the homes that were kept by moves, by directory.

    They are next to the links that lead to the present homes.
    """
    roots = {Path(user.home).parent for user in find_managed_accounts(host)} | {Paths.homes}
    return {
        root / KEPT: sorted(names) for root in sorted(roots) if (names := host.listdir(root / KEPT))
    }


def remove_kept_homes(host: Host, paths: Paths, progress: Progress) -> list[Path]:
    """Delete the homes that moves have kept; the present homes stay."""
    removed = []
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        for directory in list_kept_homes(host):
            with progress.step(f"delete {directory}"):
                host.remove(directory)
            removed.append(directory)
    return removed
