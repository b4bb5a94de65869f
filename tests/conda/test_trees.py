"""Modes of an environment: what a build wrote is for all, what an admin made stays private."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tljh.conda.worker.trees import copy_tree, publish_modes

GROUP = 12345


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """Return an environment with private files of an admin, and the copy that is built on."""
    prefix, other = tmp_path / "user", tmp_path / "user-2"
    for name in ("share", "etc", "lib", "course"):
        (prefix / name).mkdir(parents=True)
    for name, mode in (("share/licence", 0o640), ("etc/secret", 0o600), ("lib/tool.py", 0o600)):
        (prefix / name).write_text(name)
        (prefix / name).chmod(mode)
    if os.geteuid() == 0:
        os.chown(prefix / "share/licence", 0, GROUP)
        os.chown(prefix / "course", 0, GROUP)
    (prefix / "course").chmod(0o2775)
    copy_tree(prefix, other)
    return prefix, other


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_private_files_of_an_admin_keep_mode_and_owner(trees):
    prefix, other = trees
    publish_modes(other, prefix)
    for tree in (prefix, other):
        assert mode(tree / "share/licence") == 0o640
        assert mode(tree / "etc/secret") == 0o600
        assert mode(tree / "course") == 0o2775
    if os.geteuid() == 0:
        assert (other / "share/licence").stat().st_gid == GROUP
        assert (other / "course").stat().st_gid == GROUP


def test_what_the_build_wrote_is_readable_by_all_and_writable_by_root_alone(trees):
    prefix, other = trees
    (other / "lib/tool.py").unlink()
    (other / "lib/tool.py").write_text("newer")
    (other / "lib/tool.py").chmod(0o600)
    (other / "lib/new").mkdir()
    (other / "lib/new").chmod(0o700)
    (other / "lib/new/open").write_text("")
    (other / "lib/new/open").chmod(0o4666)
    publish_modes(other, prefix)
    assert mode(other / "lib/tool.py") == 0o644
    assert mode(other / "lib/new") == 0o755
    assert mode(other / "lib/new/open") == 0o644
    assert mode(prefix / "lib/tool.py") == 0o600


def test_a_first_build_is_published_as_a_whole(trees):
    _, other = trees
    publish_modes(other)
    assert mode(other / "etc/secret") == 0o644
