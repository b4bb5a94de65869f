"""The comparison that decides whether a copy of a home counts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tljh.host import compared_trees


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    original, copy = tmp_path / "one", tmp_path / "other"
    (original / "notes").mkdir(parents=True)
    (original / "notes/a.txt").write_bytes(b"hello" * 1000)
    os.link(original / "notes/a.txt", original / "notes/b.txt")
    os.link(original / "notes/a.txt", tmp_path / "outside.txt")
    (original / "new\nline").write_text("x")
    (original / os.fsdecode(b"\xff")).write_text("x")
    (original / "link").symlink_to("/etc/shadow")
    os.mkfifo(original / "pipe")
    with (original / "sparse").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(1 << 39)
        file.write(b"data")
    subprocess.run(["cp", "-a", "--sparse=always", str(original), str(copy)], check=True)
    return original, copy


def compare(trees: tuple[Path, Path]) -> list[str]:
    command = [sys.executable, "-I", compared_trees.__file__, *map(str, trees)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.returncode == (1 if done.stdout else 0)
    return done.stdout.splitlines()


def test_a_copy_of_cp_is_equal_also_with_a_file_of_a_terabyte(trees):
    assert compare(trees) == []


def change_content(root: Path) -> None:
    with (root / "sparse").open("r+b") as file:
        file.seek(1 << 38)
        file.write(b"x")
    os.utime(root / "sparse", ns=(0, 0))


def replace_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/x")


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda root: (root / "notes/a.txt").chmod(0o604), "notes/a.txt': mode"),
        (lambda root: os.utime(root / "notes/a.txt", ns=(1, 1)), "notes/a.txt': time"),
        (lambda root: os.chown(root / "notes", 12345, 0), "notes': owner"),
        (lambda root: (root / "pipe").unlink(), "pipe': is in one only"),
        (lambda root: (root / "more").mkdir(), "more': is in one only"),
        (lambda root: (root / "notes/a.txt").write_text("less"), "notes/a.txt': size"),
        (
            lambda root: ((root / "link").unlink(), (root / "link").symlink_to("/x")),
            "link': target",
        ),
        (lambda root: ((root / "pipe").unlink(), (root / "pipe").mkdir()), "pipe': type"),
        (
            lambda root: (
                (root / "notes/b.txt").unlink(),
                shutil.copy2(root / "notes/a.txt", root / "notes/b.txt"),
            ),
            "notes",
        ),
        (
            lambda root: os.setxattr(root / "notes/a.txt", "user.x", b"1"),
            "notes/a.txt': attributes",
        ),
        (change_content, "sparse': content"),
    ],
)
def test_each_difference_is_named(trees, change, difference):
    try:
        change(trees[1])
    except OSError as error:
        pytest.skip(f"not possible here: {error}")
    assert any(difference in line for line in compare(trees))
