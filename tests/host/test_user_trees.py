"""Directories of users, handled as root while their owner swaps links under each step."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.host.home_archive import PACK, archive_home
from tljh.host.real import RealHost
from tljh.host.trusted_path import open_trusted_path
from tljh.host.user_trees import flatten, make_home, remove_tree

UID = 4711
TIMES = 600
NAMES = [f"file{number}" for number in range(20)]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root makes homes")
# An account that exists on every machine and owns no home in these tests.
ACCOUNT = "nobody"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """Return a directory that nothing may change or disclose."""
    directory = tmp_path / "etc"
    directory.mkdir(mode=0o700)
    for name in NAMES:
        (directory / name).write_text("a secret of root")
        (directory / name).chmod(0o600)
    return directory


def state_of(directory: Path) -> dict[str, tuple[int, int, str]]:
    return {
        path.name: (path.stat().st_uid, path.stat().st_mode, path.read_text())
        for path in directory.iterdir()
    }


@contextmanager
def swapped(trap: Path, target: Path) -> Iterator[None]:
    """Swap `trap`, a directory or file, for a link to `target` all the time."""
    ends, hidden = threading.Event(), trap.with_name("hidden")

    def swap() -> None:
        while not ends.is_set():
            try:
                trap.rename(hidden)
                trap.symlink_to(target)
                trap.unlink()
                hidden.rename(trap)
            except OSError:
                # The tree is being deleted, and made again.
                for path in (trap, hidden):
                    if path.is_symlink():
                        path.unlink(missing_ok=True)

    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        yield
    finally:
        ends.set()
        attacker.join()


def fill(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (directory / name).write_text("mine")
    return directory


def test_a_directory_that_is_swapped_while_its_tree_is_deleted_leads_nowhere(outside, tmp_path):
    before = state_of(outside)
    for number in range(TIMES // 4):
        tree = tmp_path / f"home-{number}"
        fill(tree / "trap")
        for name in NAMES:
            (tree / name).mkdir()
        with swapped(tree / "trap", outside):
            try:
                remove_tree(tree)
            except OSError:
                # The attacker put something into the tree again, which is then in the way.
                continue
    assert state_of(outside) == before


@needs_root
def test_a_skeleton_that_is_swapped_while_it_is_copied_discloses_nothing(outside, tmp_path):
    skeleton, homes = tmp_path / "skeleton", tmp_path / "homes"
    homes.mkdir()
    fill(skeleton / "trap")
    with swapped(skeleton / "trap", outside):
        for number in range(TIMES):
            home = homes / f"jupyter-{number}"
            try:
                make_home(home, UID, UID, skeleton)
            except OSError:
                # Renamed between the list and the copy.
                continue
            for path in home.rglob("*"):
                assert path.is_symlink() or path.is_dir() or path.read_text() == "mine"
            shutil.rmtree(home)


@needs_root
def test_a_file_of_a_skeleton_that_is_swapped_discloses_nothing(outside, tmp_path):
    skeleton, homes = tmp_path / "skeleton", tmp_path / "homes"
    homes.mkdir()
    fill(skeleton)
    with swapped(skeleton / "file0", outside / "file0"):
        for number in range(TIMES):
            home = homes / f"jupyter-{number}"
            try:
                make_home(home, UID, UID, skeleton)
            except OSError:
                continue
            copy = home / "file0"
            assert copy.is_symlink() or not copy.exists() or copy.read_text() == "mine"
            shutil.rmtree(home)


@needs_root
@pytest.mark.parametrize("step", ["mkdir", "chmod", "write", "symlink", "remove"])
def test_a_directory_on_the_way_that_is_swapped_leads_nowhere(outside, tmp_path, step):
    """Try each effect of the host on a path, while a directory on that path is swapped."""
    # A directory that others can change: only there a link is not trusted.
    users = tmp_path / "users"
    fill(users / "trap")
    users.chmod(0o777)
    outside.chmod(0o700)
    before = state_of(outside)
    host, path = RealHost(), users / "trap" / "file1"
    effects: dict[str, Callable[[], None]] = {
        "mkdir": lambda: host.mkdir(path.with_name("made"), mode=0o777, owner=str(UID)),
        "chmod": lambda: host.chmod(path, mode=0o666, owner=str(UID), group="0"),
        "write": lambda: host.write(path, b"written", mode=0o666, owner=str(UID)),
        "symlink": lambda: host.symlink(path, "/nowhere"),
        "remove": lambda: host.remove(path),
    }
    with swapped(users / "trap", outside):
        for _ in range(TIMES):
            try:
                effects[step]()
            except OSError:
                continue
    assert state_of(outside) == before


def test_a_link_counts_where_root_alone_can_change_it(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("")
    (tmp_path / "home").symlink_to("data")
    tmp_path.chmod(0o755)
    with open_trusted_path(tmp_path / "home" / "file") as opened:
        assert os.fstat(opened).st_ino == (tmp_path / "data" / "file").stat().st_ino
    tmp_path.chmod(0o777)
    with (
        pytest.raises(OSError, match="not followed"),
        open_trusted_path(tmp_path / "home" / "file"),
    ):
        pass


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="not followed"), open_trusted_path(tmp_path / "a"):
        pass


@needs_root
def test_a_home_has_its_skeleton_without_setuid_and_without_devices(tmp_path):
    skeleton, home = tmp_path / "skeleton", tmp_path / "home"
    (skeleton / "docs").mkdir(parents=True)
    program = skeleton / "docs" / "run"
    program.write_text("#!/bin/sh")
    program.chmod(0o4755)
    (skeleton / "link").symlink_to("/srv/shared")
    os.mkfifo(skeleton / "pipe")
    make_home(home, UID, UID, skeleton)
    assert home.stat().st_mode & 0o7777 == 0o700
    assert (home / "docs" / "run").stat().st_mode & 0o7777 == 0o755
    assert str((home / "link").readlink()) == "/srv/shared"
    assert not (home / "pipe").exists()
    assert {path.lstat().st_uid for path in (home, *home.rglob("*"))} == {UID}


@needs_root
def test_what_a_killed_call_left_of_a_home_is_replaced(tmp_path):
    (tmp_path / ".home.new" / "half").mkdir(parents=True)
    make_home(tmp_path / "home", UID, UID, tmp_path / "no-skeleton")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def deep(directory: Path, levels: int) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=descriptor)
        deeper = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(os.open("treasure", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)


def test_a_tree_of_any_depth_is_deleted(tmp_path):
    tree = fill(tmp_path / "home")
    deep(tree, 4_000)
    remove_tree(tree)
    assert list(tmp_path.iterdir()) == []


def test_a_tree_that_is_flattened_keeps_its_files(tmp_path):
    tree = fill(tmp_path / "home")
    deep(tree, 5_000)
    assert flatten(tree) > 5_000 // 100 - 2
    listing = subprocess.run(["find", tree, "-type", "f"], capture_output=True, text=True).stdout
    paths = listing.split()
    assert len(paths) == len(NAMES) + 1
    assert max(len(os.fsencode(path)) for path in paths) < 1_200
    remove_tree(tree)


@pytest.fixture
def difficult_home(tmp_path: Path) -> Path:
    """Return a home with everything that makes a walk slow, endless or fail."""
    home = fill(tmp_path / "homes" / "jupyter-bob")
    sparse = home / "sparse"
    sparse.touch()
    try:
        os.truncate(sparse, 2 << 40)
    except OSError:
        # The file system has smaller files.
        os.truncate(sparse, 1 << 40)
    with sparse.open("r+b") as stream:
        stream.seek(1 << 30)
        stream.write(b"in the middle")
    os.link(home / "file0", home / "hard-link")
    os.mkfifo(home / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(home / "socket"))
    (home / "two\nlines").write_text("newline")
    (home / os.fsdecode(b"\xff\xfe")).write_text("no UTF-8")
    (home / "-rf").write_text("an option")
    (home / "closed").mkdir()
    (home / "closed" / "file").write_text("unreadable")
    (home / "closed" / "file").chmod(0)
    (home / "closed").chmod(0)
    (home / "loop").symlink_to(".")
    deep(home, 5_000)
    return home


@needs_root
def test_a_home_with_everything_is_archived_and_deleted_in_seconds(difficult_home, tmp_path):
    shutil.chown(difficult_home, ACCOUNT)
    started = time.monotonic()
    archive = archive_home(RealHost(), ACCOUNT, difficult_home, tmp_path / "archives")
    assert time.monotonic() - started < 30
    assert archive is not None and archive.stat().st_size < 1 << 20
    assert archive.stat().st_mode & 0o777 == 0o600
    assert list(difficult_home.parent.iterdir()) == []
    with tarfile.open(archive) as packed:
        names = {Path(member.name).name: member for member in packed}
    assert {"two\nlines", "-rf", "hard-link", "pipe", "file", "loop", "treasure"} <= set(names)
    assert names["sparse"].size >= 1 << 40


@needs_root
@pytest.mark.parametrize("trap", ["trap", "trap/file0"])
def test_a_home_that_is_swapped_while_it_is_packed_discloses_nothing(outside, tmp_path, trap):
    """Read what tar packed also where it failed: archive_home deletes such an archive."""
    home, packs = tmp_path / "jupyter-bob", []
    fill(home / "trap")
    target = outside if trap == "trap" else outside / "file0"
    with swapped(home / trap, target):
        for number in range(TIMES // 12):
            packs.append(tmp_path / f"{number}.tar.gz")
            pack = [*PACK, packs[-1], "--directory", tmp_path, "--", home.name]
            subprocess.run(pack, capture_output=True)
    contents: set[bytes] = set()
    for path in packs:
        with tarfile.open(path) as packed:
            streams = [packed.extractfile(item) for item in packed if item.isreg()]
            contents.update(stream.read() for stream in streams if stream is not None)
    assert contents == {b"mine"}


@needs_root
def test_a_mount_point_in_a_home_keeps_its_content(difficult_home, tmp_path):
    shutil.chown(difficult_home, ACCOUNT)
    data, mount = fill(tmp_path / "data"), difficult_home / "mount"
    mount.mkdir()
    if subprocess.run(["mount", "--bind", data, mount], capture_output=True).returncode != 0:
        pytest.skip("no mounts here")
    try:
        with pytest.raises(TljhError, match="archived, but could not be deleted"):
            archive_home(RealHost(), ACCOUNT, difficult_home, tmp_path / "archives")
        assert len(list(data.iterdir())) == len(NAMES)
    finally:
        subprocess.run(["umount", "--lazy", mount], check=False)
