"""Root walks trees of users by descriptors: what a user swaps meanwhile is never followed."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tljh.host.descriptor_walk import walk
from tljh.host.posix_acl import ACCESS, DEFAULT, Acl, decode, read_acl
from tljh.host.shared_tree import find_groups_with_access, share_tree

FIRST, SECOND = 54321, 54322


def has_acls(path: Path) -> bool:
    try:
        os.setxattr(path, ACCESS, Acl(7, 7, 0, groups=((FIRST, 7),)).encode())
    except OSError:
        return False
    os.removexattr(path, ACCESS)
    return True


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    if os.geteuid() != 0 or not has_acls(folder):
        pytest.skip("needs root and a file system with ACLs")
    (folder / "notes").mkdir()
    (folder / "notes" / "day1.txt").write_text("hello")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o744)
    return folder


def groups(path: Path, name: str = ACCESS) -> dict[int, int]:
    acl = read_acl(str(path), name)
    return dict(acl.groups) if acl else {}


def test_a_group_gets_access_to_what_is_there_and_to_what_comes(shared):
    share_tree(shared, FIRST, frozenset())
    assert groups(shared / "notes") == {FIRST: 7}
    assert groups(shared / "notes", DEFAULT) == {FIRST: 7}
    assert groups(shared / "notes" / "day1.txt") == {FIRST: 6}
    assert groups(shared / "run.sh") == {FIRST: 7}
    (shared / "notes" / "new.txt").write_text("")
    assert FIRST in groups(shared / "notes" / "new.txt")
    assert find_groups_with_access(shared) == {FIRST}


def test_another_group_takes_the_place_of_the_first(shared):
    share_tree(shared, FIRST, frozenset())
    os.chown(shared / "notes" / "day1.txt", -1, FIRST)
    share_tree(shared, SECOND, frozenset({FIRST}))
    assert groups(shared / "notes" / "day1.txt") == {SECOND: 6}
    assert (shared / "notes" / "day1.txt").stat().st_gid == SECOND
    assert find_groups_with_access(shared) == {SECOND}


@pytest.mark.skipif(not shutil.which("getfacl"), reason="needs getfacl")
def test_getfacl_reads_what_we_wrote(shared):
    share_tree(shared, FIRST, frozenset())
    printed = subprocess.run(["getfacl", "-n", "-c", shared], capture_output=True, text=True).stdout
    assert f"group:{FIRST}:rwx" in printed and f"default:group:{FIRST}:rwx" in printed


def test_an_acl_survives_its_encoding():
    acl = Acl(7, 5, 0, users=((1000, 6),), groups=((FIRST, 7),))
    assert decode(acl.encode()) == acl
    assert acl.mask == 7


def test_links_and_hard_links_to_files_of_root_are_left_out(shared, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("root's")
    (shared / "link").symlink_to(outside)
    os.link(outside, shared / "hard")
    share_tree(shared, FIRST, frozenset())
    assert groups(outside) == {}


def test_a_directory_that_is_swapped_for_a_link_leads_nowhere(shared, tmp_path):
    """Swap thousands of times; nothing outside ever gets the group."""
    target = tmp_path / "etc"
    target.mkdir()
    names = [f"file{number}" for number in range(40)]
    for name in names:
        (target / name).write_text("")
    trap, hidden = shared / "trap", tmp_path / "hidden"
    trap.mkdir()
    for name in names:
        (trap / name).write_text("")
    ends = threading.Event()

    def swap() -> None:
        while not ends.is_set():
            trap.rename(hidden)
            trap.symlink_to(target)
            trap.unlink()
            hidden.rename(trap)

    attacker = threading.Thread(target=swap)
    attacker.start()
    try:
        for _ in range(2000):
            share_tree(shared, FIRST, frozenset())
    finally:
        ends.set()
        attacker.join()
    assert [name for name in names if groups(target / name)] == []
    assert groups(target) == {}


def test_a_tree_deeper_than_any_work_ends(shared):
    descriptor = os.open(shared, os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d", dir_fd=descriptor)
        deeper = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(descriptor)
    try:
        assert sum(1 for _ in walk(shared)) > 290
    finally:
        # pytest's own removal would be too deep a recursion.
        subprocess.run(["rm", "-rf", shared], check=True)
