"""The machines themselves, as tests rely on them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from machine import CannotBoot, CommandFailed, Machine, owner
from machine.engine import find_engine
from machine.image import RELEASES
from waiting import wait_until

HERE = Path(__file__).parent


def test_machine_boots_and_every_unit_starts(machine: Machine, host: Any) -> None:
    assert machine.degraded == []
    assert host.run("systemctl is-system-running").stdout.strip() == "running"
    assert host.process.get(pid=1).comm == "systemd"


def test_a_process_that_passes_its_memory_limit_is_killed(machine: Machine) -> None:
    check_memory_limit(machine)


def check_memory_limit(machine: Machine) -> None:
    eat = "python3 -c 'bytearray(300 << 20)'"
    limits = "-p MemoryMax=50M -p MemorySwapMax=0"
    killed = machine.run(f"systemd-run --quiet --wait {limits} {eat}", check=False)
    assert killed.code != 0
    assert "Memory cgroup out of memory" in machine.run("dmesg | tail -20").stdout
    assert machine.run(f"systemd-run --quiet --wait -p MemoryMax=600M {eat}").code == 0


def test_restart_keeps_files_and_forgets_what_runs(machine: Machine) -> None:
    machine.run("echo kept > /opt/file; echo gone > /run/file; systemd-run --unit=gone sleep 999")
    machine.restart()
    assert machine.run("cat /opt/file").stdout == "kept\n"
    assert machine.run("test -e /run/file", check=False).code == 1
    assert machine.run("systemctl is-active gone", check=False).stdout == "inactive\n"
    assert machine.degraded == []


def test_power_cut_leaves_a_machine_that_boots(machine: Machine) -> None:
    machine.run("echo kept > /opt/file; sync")
    machine.power_cut()
    assert machine.run("cat /opt/file").stdout == "kept\n"


def test_snapshot_boots_with_its_files_and_units(
    machine: Machine, cleanup: contextlib.ExitStack
) -> None:
    unit = "[Service]\nExecStart=/bin/sleep 999\n[Install]\nWantedBy=multi-user.target\n"
    machine.run("cat > /etc/systemd/system/mine.service && systemctl enable mine", input=unit)
    image = machine.snapshot("proof")
    cleanup.callback(machine.engine.run, "rmi", "--force", image)
    machine.remove()
    with Machine.boot(image) as second:
        assert second.run("systemctl is-active mine").stdout == "active\n"


def test_directories_of_the_image_are_renamed_as_on_a_disk(machine: Machine) -> None:
    if machine.engine.kind != "podman":
        pytest.skip("docker has no option for overlayfs")
    rename = 'import os; os.rename("/usr/share/doc", "/usr/share/docs")'
    machine.run(["python3", "-c", rename])


def test_apt_and_pip_reach_their_registries_from_inside(machine: Machine) -> None:
    machine.install_packages("python3-pip")
    machine.run("python3 -m pip download --quiet --no-deps --dest /tmp/got idna")
    assert "idna" in machine.run("ls /tmp/got").stdout


def test_python_in_the_machine_trusts_what_this_computer_trusts(machine: Machine) -> None:
    machine.run("update-ca-certificates")
    url = machine.environment.get("PIP_INDEX_URL", "https://pypi.org/simple") + "/idna/"
    machine.run(["python3", "-c", f"import urllib.request as u; u.urlopen({url!r})"])


def test_a_command_that_takes_too_long_is_ended_in_the_machine(machine: Machine) -> None:
    late = machine.run("sleep 987", timeout_s=1, check=False)
    assert late.code == 124
    assert machine.run("pgrep -f 'sleep 98[7]'", check=False).stdout == ""


def test_a_failing_command_is_reported_with_its_output(machine: Machine) -> None:
    with pytest.raises(CommandFailed, match="ended with 3:\nwhat went wrong"):
        machine.run("echo what went wrong >&2; exit 3")


def test_machine_of_a_killed_process_is_removed_by_the_next_boot(release: str) -> None:
    code = (
        "import os, signal; from machine import Machine; "
        f"print(Machine.boot({release!r}).name, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment()
    )
    assert killed.returncode == -signal.SIGKILL
    orphan = killed.stdout.strip()
    with Machine.boot(release) as machine:
        assert orphan and orphan not in owner.machines(machine.engine)


def test_interrupted_process_leaves_no_machine(release: str) -> None:
    # Children of a process that ignores SIGINT, such as a shell's background job, ignore it, too.
    code = (
        "import signal, sys; from machine import Machine\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"with Machine.boot({release!r}) as m:\n  print(m.name, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
    with Machine.boot(release) as machine:
        assert name and name not in owner.machines(machine.engine)


def test_parallel_tests_that_are_terminated_leave_no_machine(release: str, tmp_path: Path) -> None:
    test = tmp_path / "test_wait.py"
    test.write_text("def test_wait(machine):\n    machine.run('sleep 300')\n")
    command = [sys.executable, "-m", "pytest", "-n1", "-p", "conftest", "-p", "no:cacheprovider"]
    with subprocess.Popen(
        [*command, f"--machine-image={release}", str(test)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as process:
        machines: set[str] = set()

        def has_machine() -> bool:
            assert process.poll() is None
            # Other processes of this test run have machines too.
            workers = {str(child.pid) for child in psutil.Process(process.pid).children()}
            labels = owner.machines(find_engine()).items()
            machines.update(name for name, label in labels if label.partition(":")[0] in workers)
            return bool(machines)

        wait_until(has_machine, "the test has booted its machine")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    assert not machines & set(owner.machines(find_engine()))


@pytest.mark.long
@pytest.mark.parametrize("name", RELEASES)
def test_every_release_that_is_made_here_boots_and_limits_memory(release: str, name: str) -> None:
    if name == "ubuntu26.04" and find_engine().cgroup_version == 1:
        with pytest.raises(CannotBoot, match="needs cgroup v2, and this computer has v1"):
            Machine.boot(name)
        return
    with Machine.boot(name) as machine:
        assert machine.degraded == []
        check_memory_limit(machine)


def test_machines_do_not_disturb_each_other(machine: Machine, release: str) -> None:
    with Machine.boot(release) as other:
        other.run("systemd-run --slice=some.slice --unit=long sleep 999")
    assert machine.run("systemctl is-system-running").stdout == "running\n"
    check_memory_limit(machine)


@pytest.fixture
def program_format(cleanup: contextlib.ExitStack) -> Path:
    """Register a format of programs with this computer's kernel."""
    formats = Path("/proc/sys/fs/binfmt_misc")
    if not (formats / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "none", str(formats)], check=True)
        cleanup.callback(subprocess.run, ["umount", str(formats)], check=True)
    (formats / "register").write_text(":tljh-test:E::tljh-test::/bin/true:")
    registered = formats / "tljh-test"
    cleanup.callback(lambda: registered.exists() and registered.write_text("-1"))
    return registered


def test_a_machine_leaves_the_program_formats_of_this_computer_alone(
    release: str, program_format: Path
) -> None:
    with Machine.boot(release) as machine:
        machine.restart()
    assert program_format.exists()


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE)}
