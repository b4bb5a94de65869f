"""Slurm's controller on the hub's machine, and a worker that joins."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from machine import Machine
from waiting import wait_until

NOBODY = 65534


@pytest.fixture(scope="module")
def hub(installed_shared: Machine) -> Iterator[Machine]:
    installed_shared.run(f"tljh-config set workers.address {installed_shared.address()}")
    installed_shared.run("tljh-config set workers.enabled true")
    installed_shared.run("tljh-config reload", timeout_s=300)
    yield installed_shared


@pytest.fixture(scope="module")
def worker(hub: Machine, release: str) -> Iterator[Machine]:
    with Machine.boot(release) as booted:
        # The machines share a cache of packages, and wait for each other with this.
        booted.install_packages("slurmd", "slurm-client", "munge")
        script = hub.run("tljh worker join-script").stdout
        for _ in range(2):
            joined = booted.run("sh", input=script, timeout_s=120).stdout
            assert joined.strip().endswith(f"is a worker of {hub.run('hostname').stdout.strip()}")
        yield booted


def read_workers(hub: Machine) -> list[dict[str, Any]]:
    workers: list[dict[str, Any]] = json.loads(hub.run("tljh worker list --json").stdout)
    return workers


def has_state(hub: Machine, state: str) -> bool:
    return [each["state"] for each in read_workers(hub)] == [state]


def test_a_worker_joins_and_runs_a_job_of_a_user_apart_from_others(hub: Machine, worker: Machine):
    wait_until(lambda: has_state(hub, "ready"), "a worker that is ready")
    assert "Nothing to do" in hub.run("tljh-config reload", timeout_s=180).stdout
    worker.run("touch /tmp/of-another")
    command = "id -u; ls /tmp; while test -e /var/tmp/hold; do sleep 0.1; done"
    worker.run("touch /var/tmp/hold")
    options = f"--uid {NOBODY} --gid {NOBODY} --mem 100 --chdir / --output /var/tmp/job-%j"
    job = hub.run(f"cd / && sbatch --parsable {options} --wrap '{command}'").stdout.strip()
    assert 20000 <= int(job) < 30000
    path = f"/var/tmp/job-{job}"
    wait_until(
        lambda: worker.run(f"cat {path}", check=False).stdout.split() == [str(NOBODY)],
        "a job with the user's id, an empty /tmp, and nothing of others",
    )
    assert [each["jobs"] for each in read_workers(hub)] == [1]
    # No account but root reaches Slurm, from neither machine.
    for machine in (hub, worker):
        refused = machine.run(
            "cd / && runuser -u nobody -- sbatch --wrap true", check=False, timeout_s=60
        )
        assert refused.code != 0 and "Permission denied" in refused.stderr
    # A job ends neither by a drain nor by a restart of the controller, and protects its worker.
    hub.run(f"tljh worker drain {read_workers(hub)[0]['name']}")
    hub.run("systemctl restart slurmctld")
    wait_until(lambda: has_state(hub, "draining"), "a worker that drains")
    kept = hub.run(f"tljh worker remove {read_workers(hub)[0]['name']}", check=False)
    assert kept.code == 1 and "has 1 job" in kept.stderr
    worker.run("rm /var/tmp/hold")
    wait_until(lambda: has_state(hub, "drained"), "a worker whose job has ended")
    hub.run(f"tljh worker resume {read_workers(hub)[0]['name']}")
    wait_until(lambda: has_state(hub, "ready"), "a worker that was resumed")


def test_a_wrong_address_is_refused_and_the_worker_stays(hub: Machine, worker: Machine):
    hub.run("tljh-config set workers.address 10.99.99.99")
    refused = hub.run("tljh-config reload", check=False, timeout_s=180)
    assert refused.code == 1 and "10.99.99.99 is no address of this machine" in refused.stderr
    hub.run(f"tljh-config set workers.address {hub.address()}")
    assert has_state(hub, "ready")


def test_a_removed_worker_is_forgotten_and_off_leaves_no_controller(hub: Machine, worker: Machine):
    name = read_workers(hub)[0]["name"]
    worker.run("systemctl disable --now slurmd")
    hub.run(f"tljh worker remove {name}")
    assert read_workers(hub) == []
    hub.run("tljh-config set workers.enabled false && tljh-config reload", timeout_s=180)
    units = hub.run("systemctl is-active slurmctld munge; ls /etc/slurm", check=False).stdout
    assert units.split()[:2] == ["inactive", "inactive"] and "slurm.conf" not in units
    off = hub.run("tljh worker list", check=False)
    assert off.code == 1 and "workers are off" in off.stderr
    assert hub.run("tljh status", check=False).code == 0
