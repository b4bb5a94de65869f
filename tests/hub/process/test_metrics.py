"""Metrics of servers and of the machine, as the kernel's files have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tljh.base.account_names import make_account_name, make_unit_name
from tljh.host.usage_history import open_history
from tljh.hub.process.metrics import MachineCollector, ServerUnit, read_server_use

ANN = ServerUnit("ann", "", make_unit_name(make_account_name("ann")), True)
MEMINFO = "MemTotal: 2000 kB\nMemAvailable: 500 kB\nSwapFree: 0 kB\n"


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    put(tmp_path / "proc/meminfo", MEMINFO)
    put(tmp_path / "proc/loadavg", "0.25 0.10 0.05 1/100 4242\n")
    put(tmp_path / "proc/self/cgroup", "0::/system.slice/jupyterhub.service\n")
    return tmp_path / "proc"


def put_version_2(cgroups: Path, prefix: str = "") -> None:
    put(cgroups / "cgroup.controllers", "cpu memory pids\n")
    group = cgroups / prefix / "jupyter.slice/jupyter-ann.service"
    put(group / "memory.current", "1048576\n")
    put(group / "cpu.stat", "usage_usec 2500000\nuser_usec 1\n")
    put(group / "pids.current", "7\n")


def test_what_prometheus_reads(tmp_path, proc):
    put_version_2(tmp_path / "cgroups")
    gone = ServerUnit("bob", "", "jupyter-bob.service", False)
    registry = CollectorRegistry()
    registry.register(
        MachineCollector(lambda: [ANN, gone], tmp_path / "cgroups", proc, ("/", "/no-such-disk"))
    )
    lines = generate_latest(registry).decode().splitlines()
    assert 'tljh_server_memory_bytes{server="",user="ann"} 1.048576e+06' in lines
    assert 'tljh_server_cpu_seconds_total{server="",user="ann"} 2.5' in lines
    assert 'tljh_server_tasks{server="",user="ann"} 7.0' in lines
    assert 'tljh_server_ready{server="",user="ann"} 1.0' in lines
    assert "tljh_machine_memory_available_bytes 512000.0" in lines
    assert "tljh_machine_load1 0.25" in lines
    assert not any("bob" in line or "no-such-disk" in line for line in lines)
    assert any(line.startswith('tljh_disk_free_bytes{path="/"}') for line in lines)


def test_groups_of_version_1_and_of_a_container_are_found(tmp_path, proc):
    put(
        proc / "self/cgroup",
        "4:memory:/pod/x/system.slice/jupyterhub.service\n"
        "3:cpu,cpuacct:/pod/x/system.slice/jupyterhub.service\n"
        "2:pids:/pod/x/system.slice/jupyterhub.service\n",
    )
    name = "pod/x/jupyter.slice/jupyter-ann.service"
    put(tmp_path / "memory" / name / "memory.usage_in_bytes", "4096\n")
    put(tmp_path / "cpu,cpuacct" / name / "cpuacct.usage", "1500000000\n")
    put(tmp_path / "pids" / name / "pids.current", "3\n")
    use = read_server_use("jupyter-ann.service", tmp_path, proc)
    assert use is not None
    assert (use.memory_bytes, use.cpu_s, use.tasks) == (4096, 1.5, 3)


@pytest.mark.parametrize(
    "unit", ["", "jupyter-eve.service", "../../system.slice/jupyterhub.service"]
)
def test_a_server_that_does_not_run_has_no_numbers(unit, tmp_path, proc):
    put_version_2(tmp_path)
    assert read_server_use(unit, tmp_path, proc) is None


def test_the_size_of_each_home_is_what_the_timer_measured(tmp_path, proc):
    history = tmp_path / "history.sqlite"
    registry = CollectorRegistry()
    registry.register(MachineCollector(list, tmp_path, proc, history=history))
    assert b"tljh_user_disk_bytes{" not in generate_latest(registry)
    with open_history(history) as kept:
        kept.add_homes("2026-11-20", {"ann": 100, "bob": 7}, {})
        kept.add_homes("2026-11-21", {"ann": 200, "bob": 7}, {})
    lines = generate_latest(registry).decode().splitlines()
    assert 'tljh_user_disk_bytes{user="ann"} 200.0' in lines
    assert 'tljh_user_disk_bytes{user="bob"} 7.0' in lines
