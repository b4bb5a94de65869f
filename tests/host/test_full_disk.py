"""Disks that are full, named by their mount point."""

from __future__ import annotations

import pytest

from tljh.host.fake import FakeHost
from tljh.host.full_disk import MOUNTS, describe_full_disk, find_full_disks, find_full_line
from tljh.host.interface import FileInfo, Result

HEADER = "Avail IFree Inodes Mounted on\n"


def machine(**rows: str) -> FakeHost:
    host = FakeHost()
    host.answers["df"] = lambda argv: Result(0, HEADER + rows[argv[-1].strip("/")] + "\n")
    return host


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("0 4000 5000 /srv/my homes", {"/srv/my homes": "no disk space"}),
        ("5000000 0 5000 /home", {"/home": "no inodes, each of which is one file,"}),
        ("5000000 0 0 /home", {}),
        ("5000000 - - /home", {}),
        ("5000000 4000 5000 /home", {}),
    ],
)
def test_a_file_system_is_full_without_bytes_or_without_files(row, expected):
    assert find_full_disks(machine(home=row), ["/home"]) == expected


@pytest.mark.parametrize(
    "line",
    [
        "sqlite3.OperationalError: database or disk is full",
        "OSError: [Errno 28] No space left on device: '/opt/x'",
        "write /var/log/traefik.log: no space left on device",
        'ERROR:  could not extend file "base/1": No space left on device',
        "npm ERR! code ENOSPC",
    ],
)
def test_the_last_line_about_a_full_disk_is_found(line):
    assert find_full_line(f"{line} 1\nstarting\n{line} 2\nended\n") == f"{line} 2"


def test_the_disk_of_the_path_in_a_message_is_named():
    host = machine(opt="0 4 5 /opt", tmp="5000000 4000 5000 /")
    finding = describe_full_disk(host, "[Errno 28] No space left on device: '/opt/x'", ["/tmp"])
    assert finding.what == "no disk space left on /opt"
    assert "sudo tljh disk" in (finding.fix or "")


def test_any_other_disk_that_is_full_is_named_where_the_message_has_no_path():
    host = machine(tmp="5000000 4000 5000 /", data="0 400 500 /data")
    mounts = (
        b"/dev/a /snap squashfs ro 0 0\n/dev/b /data ext4 rw,noatime 0 0\nproc /proc proc rw 0 0\n"
    )
    host.files[MOUNTS] = (FileInfo("file", 0o444, "root", "root"), mounts)
    finding = describe_full_disk(host, "[Errno 28] No space left on device", ["/tmp"])
    assert finding.what == "no disk space left on /data"
