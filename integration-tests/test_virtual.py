"""QEMU machines, and hubs under the kernels of other releases."""

from __future__ import annotations

from pathlib import Path

import pytest

from machine.container import Result
from machine.engine import find_engine
from machine.image import CHECKOUT, DEFAULT_RELEASE, ensure_base, release_of
from machine.install import ADMIN, CHANNEL, bootstrap_command, local_channel
from machine.tryout import free_port
from machine.virtual import VirtualMachine
from session import HubUser, claim_account

pytestmark = pytest.mark.long

# JupyterLab's first start on emulated processors took more than two minutes.
EMULATED_START_S = 900


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


def test_machines_boot_with_docker(virtual: VirtualMachine, tmp_path: Path) -> None:
    engine = find_engine()
    base = ensure_base(engine, DEFAULT_RELEASE, release_of(DEFAULT_RELEASE))
    engine.run("save", "--output", str(tmp_path / "base.tar"), base)
    virtual.copy_in(tmp_path / "base.tar", "/root/base.tar")
    virtual.copy_checkout(CHECKOUT)
    virtual.run("apt-get update -q && apt-get install -qy docker.io iptables", timeout_s=1800)
    virtual.run("docker load -i /root/base.tar", timeout_s=1800)

    def harness(command: str, *, check: bool = True) -> Result:
        line = f"cd /srv/tljh && python3 integration-tests/machine {command}"
        env = {"TLJH_MACHINE_ENGINE": "docker"}
        return virtual.run(line, check=check, timeout_s=1800, env=env)

    harness(f"up one --image {DEFAULT_RELEASE}")
    assert "running" in harness("exec one systemctl is-system-running").stdout
    eat = "exec one systemd-run --quiet --wait -p MemoryMax=50M -p MemorySwapMax=0 "
    assert harness(eat + "python3 -c 'bytearray(20 << 20)'").code == 0
    assert harness(eat + "python3 -c 'bytearray(300 << 20)'", check=False).code != 0
    harness("exec one sh -c 'echo kept > /opt/file'")
    harness("snapshot one before")
    harness("up two --image localhost/tljh-snapshot-before")
    assert "kept" in harness("exec two cat /opt/file").stdout
    harness("down one two")
    assert virtual.run("docker ps --all --quiet").stdout == ""


@pytest.mark.parametrize("release_name", ["debian13", "ubuntu22.04", "ubuntu24.04", "ubuntu26.04"])
def test_a_hub_is_installed_and_used_under_a_releases_own_kernel(release_name: str) -> None:
    port = free_port(18080)
    with VirtualMachine.boot(release_name, {port: 80}) as machine:
        machine.copy_checkout(CHECKOUT)
        machine.copy_in(local_channel(release_name), CHANNEL)
        machine.run(
            bootstrap_command("--admin", ADMIN, f"--conda-channel=file://{CHANNEL}"),
            timeout_s=3600,
        )
        for trait in ("start_timeout", "http_timeout"):
            machine.run(f"tljh-config set Spawner.{trait} {EMULATED_START_S}")
        machine.run("tljh-config reload --timeout 600", timeout_s=900)
        admin = claim_account(machine, f"http://127.0.0.1:{port}", ADMIN, "correct-horse-7")
        admin.start_timeout_s = EMULATED_START_S
        admin.login("correct-horse-7")
        admin.start_server()
        assert admin.execute("5 * 4") == "20"
        assert "uid=0(root)" in admin.terminal("sudo -n id")
        machine.run("tljh status")
        machine.restart()
        machine.run("tljh status --wait", timeout_s=600)
        returning = HubUser(admin.url, ADMIN, start_timeout_s=EMULATED_START_S)
        returning.login("correct-horse-7")
        returning.start_server()
        assert returning.execute("6 * 7") == "42"
        # The kernel (AppArmor, seccomp) has refused nothing to our services.
        assert "DENIED" not in machine.run("dmesg").stdout
