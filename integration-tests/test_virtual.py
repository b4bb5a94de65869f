"""QEMU machines: what only they can stand for."""

from __future__ import annotations

import pytest

from machine.virtual import VirtualMachine

pytestmark = pytest.mark.long


def test_virtual_machine_has_cgroup_v2_quotas_and_a_true_reboot(virtual: VirtualMachine) -> None:
    assert virtual.run("systemctl is-system-running").stdout == "running\n"
    assert "memory" in virtual.run("cat /sys/fs/cgroup/cgroup.controllers").stdout.split()
    assert "prjquota" in virtual.run("grep ' / ' /proc/mounts").stdout
    eat = "python3 -c 'bytearray(300 << 20)'"
    limits = "-p MemoryMax=50M -p MemorySwapMax=0"
    assert virtual.run(f"systemd-run --quiet --wait {limits} {eat}", check=False).code != 0
    virtual.run("systemctl reset-failed; echo kept > /opt/file; echo gone > /run/file")
    virtual.restart()
    assert virtual.run("cat /opt/file").stdout == "kept\n"
    assert virtual.run("test -e /run/file", check=False).code == 1
    virtual.run("apt-get update -q")


def test_what_was_synced_survives_a_power_cut(virtual: VirtualMachine) -> None:
    virtual.run("echo kept > /opt/file && sync")
    virtual.power_cut()
    assert virtual.run("cat /opt/file").stdout == "kept\n"
