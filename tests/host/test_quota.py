"""Disk quotas: which file system a path is on, and one without quotas."""

from __future__ import annotations

from pathlib import Path

from tljh.host.quota import FileSystem, find_file_system, read_quota

MOUNTINFO = """\
22 1 253:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:26 / /run rw,nosuid,nodev shared:2 - tmpfs tmpfs rw,mode=755
41 22 253:16 / /home rw,relatime shared:3 - xfs /dev/vdb rw,usrquota
42 22 253:17 / /data/big\\040disk rw,relatime - ext4 /dev/vdc rw
43 41 253:18 / /home rw,relatime shared:9 - ext4 /dev/vdd rw,usrquota
broken line
"""


def test_a_path_is_on_its_innermost_mount_and_on_the_last_of_one_directory():
    home = find_file_system(Path("/home/jupyter-a"), MOUNTINFO)
    assert home == FileSystem("ext4", "/dev/vdd", Path("/home"))
    assert find_file_system(Path("/homework"), MOUNTINFO) == FileSystem(
        "ext4", "/dev/vda1", Path("/")
    )
    data = find_file_system(Path("/data/big disk/a"), MOUNTINFO)
    assert data is not None
    assert data.device == "/dev/vdc"
    assert find_file_system(Path("/x"), "") is None


def test_a_file_system_without_quotas_has_none_to_read():
    assert read_quota(Path("/proc"), 0) is None
