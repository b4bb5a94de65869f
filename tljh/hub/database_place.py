"""Where the hub's SQLite database may be: on a local file system, with room for its copies."""

from __future__ import annotations

from pathlib import Path

from tljh.base.errors import Finding, TljhError
from tljh.base.sizes import format_size
from tljh.host.interface import HostReader

# The types of statfs(2), as `stat -f -c %t` prints them. SQLite's locks and its shared memory do
# not work on these, or only sometimes: two processes then write at once and damage the database.
REMOTE_TYPES = {"6969": "NFS", "ff534d42": "CIFS", "fe534d42": "SMB", "65735546": "FUSE"}

# For the journal of a migration, and so that the copies do not fill the disk.
SPARE_BYTES = 64 << 20


def find_remote_file_system(host: HostReader, directory: Path) -> Finding | None:
    """Return a finding if the file system of a directory, or of its parent, cannot hold SQLite."""
    existing = next(
        path for path in (directory, *directory.parents) if host.info(path) or path == path.parent
    )
    answer = host.query(["stat", "-f", "-c", "%t", str(existing)])
    name = REMOTE_TYPES.get(answer.out.strip()) if answer.ok else None
    if name is None:
        return None
    return Finding(
        f"{directory} is on {name}, where the hub's SQLite database would be damaged",
        why="locks on that file system do not hold, so two processes can write at once",
        fix=f"move {directory} to a local disk, or use a database server: "
        "sudo tljh db setup postgresql",
    )


def require_room(host: HostReader, path: Path, copies: int) -> None:
    """Raise TljhError if there is no room for copies of a database next to it."""
    size = sum(
        info.size_bytes
        for ending in ("", "-wal")
        if (info := host.info(path.with_name(path.name + ending)))
    )
    needed = copies * size + SPARE_BYTES
    lines = host.query(["df", "--output=avail", "-B1", str(path.parent)]).out.split()
    free = lines[-1] if lines else ""
    if free.isdigit() and int(free) < needed:
        raise TljhError(
            f"there is no room for a copy of the hub's database in {path.parent}",
            why=f"{format_size(needed)} are needed, and {format_size(int(free))} are free",
            fix="list what takes room: sudo tljh disk",
        )
