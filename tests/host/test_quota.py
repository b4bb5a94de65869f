"""Disk quotas: which file system counts, and what is asked of it."""

from __future__ import annotations

from pathlib import Path

from tljh.host.quota import FileSystem, file_system_of, read_quota

MOUNTINFO = """\
22 1 253:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:26 / /run rw,nosuid,nodev shared:2 - tmpfs tmpfs rw,mode=755
41 22 253:16 / /home rw,relatime shared:3 - xfs /dev/vdb rw,usrquota
42 22 253:17 / /data/big\\040disk rw,relatime - ext4 /dev/vdc rw
43 41 253:18 / /home rw,relatime shared:9 - ext4 /dev/vdd rw,usrquota
broken line
"""


def test_the_nearest_mount_counts_and_of_one_place_the_last():
    home = file_system_of(Path("/home/jupyter-a"), MOUNTINFO)
    assert home == FileSystem("ext4", "/dev/vdd", Path("/home"))
    assert file_system_of(Path("/homework"), MOUNTINFO) == FileSystem(
        "ext4", "/dev/vda1", Path("/")
    )
    there = file_system_of(Path("/data/big disk/a"), MOUNTINFO)
    assert there is not None
    assert there.device == "/dev/vdc"
    assert file_system_of(Path("/x"), "") is None


def test_a_file_system_that_counts_nobody_has_no_quota_to_tell():
    assert read_quota(Path("/proc"), 0) is None
