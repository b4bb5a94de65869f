"""Programs that walk directories of users by name follow no link that is swapped in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.host.test_user_trees import TIMES, needs_root, swapped
from tljh.host.real import RealHost
from tljh.host.unfollowed_links import can_wrap, find_tops, wrap_command

SECRET = "a secret of root"
# Like a program of backups: lists a directory, then opens its files by their whole names.
READER = f"""
import sys
for _ in range({TIMES * 20}):
    try:
        print(open(sys.argv[1]).read())
    except OSError:
        pass
"""


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    homes = tmp_path / "ho mes"
    if not can_wrap(RealHost(), [tmp_path]):
        pytest.skip("this machine has no mounts in which links are not followed")
    trap = homes / "bob" / "trap"
    trap.mkdir(parents=True)
    (trap / "shadow").write_text("of bob")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "shadow").write_text(SECRET)
    return homes


@needs_root
def test_a_directory_that_is_swapped_for_a_link_discloses_nothing_to_another_program(homes):
    trap, outside = homes / "bob" / "trap", homes.parent / "etc"
    (homes / "bob" / "link").symlink_to(outside)
    behind_the_link = ["cat", str(homes / "bob" / "link" / "shadow")]
    assert subprocess.run(behind_the_link, capture_output=True, text=True).stdout == SECRET
    refused = subprocess.run(wrap_command(behind_the_link, [homes]), capture_output=True, text=True)
    assert SECRET not in refused.stdout
    assert "Too many levels" in refused.stderr
    reader = [sys.executable, "-c", READER, str(trap / "shadow")]
    with swapped(trap, outside):
        output = subprocess.run(wrap_command(reader, [homes]), capture_output=True, text=True)
    assert SECRET not in output.stdout


@needs_root
def test_the_command_sees_the_same_files_and_returns_its_own_code(homes):
    (homes / "bob" / "link").symlink_to("trap")
    argv = ["sh", "-c", 'ls "$0"; readlink "$0/link"; exit 3', str(homes / "bob")]
    done = subprocess.run(wrap_command(argv, [homes]), capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.returncode) == (["link", "trap", "trap"], 3)


def test_homes_share_their_directory_and_others_stay_alone():
    trees = [Path("/home/ann"), Path("/home/bob"), Path("/srv/shares"), Path("/data"), Path("/x")]
    assert find_tops(trees) == [Path("/home"), Path("/srv/shares"), Path("/data"), Path("/x")]
