"""Slurm's controller on a machine in memory: on, off, refused, killed; and its workers."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Sequence

import pytest

from tests.operations.test_converge import PATHS, install, machine, reload
from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.commands.worker import WorkerTable
from tljh.host.fake import FakeHost, Killed
from tljh.host.interface import Result, UnitInfo
from tljh.operations import workers as operations
from tljh.operations.checks import examine_machine
from tljh.operations.converge import Outcome
from tljh.operations.rotation import choose_secrets, rotate
from tljh.settings.load import check
from tljh.workers import checks
from tljh.workers.controller import DRAINED, parse_workers
from tljh.workers.join_script import ControllerAccess, format_join_script

ON = "{enabled: true, address: 10.0.0.5}"
SLURM_CONF = PATHS.slurm_dir / "slurm.conf"

# What Slurm 22.05 printed of workers that were drained, killed, and lost while they drained.
NODES = """\
green|idle|10.0.0.6|2|7800|22.05.8|none
blue|mixed|10.0.0.7|8|32000|22.05.8|none
red|drained|10.0.0.8|2|7800|22.05.8|drained by tljh worker drain
gold|down*|10.0.0.9|2|7800|22.05.8|Not responding
grey|idle*|10.0.0.10|2|7800|22.05.8|none
pink|draining*|10.0.0.11|2|7800|22.05.8|Low RealMemory (reported:1 < 2|3)
"""


class Slurm:
    """As much of Slurm's programs as tljh uses."""

    def __init__(self) -> None:
        self.nodes = ""
        self.jobs = ""
        self.is_down = False

    def sinfo(self, argv: Sequence[str]) -> Result:
        return Result(0, "slurm-wlm 22.05.8\n" if "--version" in argv else self.nodes)

    def squeue(self, argv: Sequence[str]) -> Result:
        return Result(0, self.jobs)

    def scontrol(self, argv: Sequence[str]) -> Result:
        return Result(1, err="Unable to contact slurm controller") if self.is_down else Result(0)


@pytest.fixture
def slurm() -> Slurm:
    return Slurm()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, slurm: Slurm) -> FakeHost:
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_: [])
    return make_host(slurm)


def make_host(slurm: Slurm) -> FakeHost:
    host = machine()
    # The directories of the packages.
    for directory in (PATHS.slurm_dir, PATHS.munge_key.parent):
        host.mkdir(directory, mode=0o755)
    install(host)
    host.answers |= {
        "hostname -I": Result(0, "10.0.0.5 fd00::5 \n"),
        "hostname": Result(0, "hub.example.org\n"),
        "sinfo": slurm.sinfo,
        "squeue": slurm.squeue,
        "scontrol": slurm.scontrol,
    }
    return host


def configure(host: FakeHost, workers: str) -> Outcome:
    text = (host.read(PATHS.config_file) or b"").decode()
    lines = [line for line in text.splitlines() if not line.startswith("workers:")]
    return reload(host, "\n".join([*lines, f"workers: {workers}", ""]).encode())


def test_the_controller_listens_at_the_private_address_and_a_second_reload_changes_nothing(host):
    since = len(host.effects)
    configure(host, ON)
    conf = (host.read(SLURM_CONF) or b"").decode()
    assert "SlurmctldHost=hub(10.0.0.5)\n" in conf and "NoCtldInAddrAny" in conf
    assert host.unit("slurmctld.service").is_active
    # munge was started by its package, with another key and a socket that is open to all.
    assert "systemctl restart munge.service" in host.effects[since:]
    assert not any("jupyterhub" in each or "traefik" in each for each in host.effects[since:])
    since = len(host.effects)
    assert reload(host).number is None
    assert not any("slurm" in each or "munge" in each for each in host.effects[since:])


def test_the_key_is_munges_alone_and_in_no_plan(host):
    outcome = configure(host, ON)
    key = (host.read(PATHS.workers_key) or b"").decode()
    assert len(key) >= 32 and host.read(PATHS.munge_key) == key.encode()
    info = host.info(PATHS.munge_key)
    assert info is not None and (info.mode, info.owner) == (0o400, "munge")
    assert key not in outcome.plan.as_text() + json.dumps(outcome.plan.as_json())


def test_a_new_key_restarts_what_uses_it(host):
    configure(host, ON)
    before, since = host.read(PATHS.munge_key), len(host.effects)
    rotate(host, PATHS, choose_secrets("workers"), SilentProgress())
    assert host.read(PATHS.munge_key) != before
    restarts = [each for each in host.effects[since:] if each.startswith("systemctl restart")]
    assert restarts == ["systemctl restart munge.service", "systemctl restart slurmctld.service"]


def test_off_leaves_no_controller_and_on_again_has_the_same_key(host):
    configure(host, ON)
    key = host.read(PATHS.munge_key)
    configure(host, "{enabled: false, address: 10.0.0.5}")
    for unit in ("slurmctld.service", "munge.service"):
        assert not host.unit(unit).is_active and not host.unit(unit).is_enabled
    assert host.listdir(PATHS.slurm_dir) == []
    assert host.info(PATHS.munge_drop_in) is None and host.info(PATHS.controller_drop_in) is None
    configure(host, ON)
    assert host.read(PATHS.munge_key) == key
    assert host.unit("slurmctld.service").is_active


def test_a_hub_without_workers_has_nothing_of_slurm_and_leaves_that_of_others(host):
    host.write(SLURM_CONF, b"ClusterName=theirs\n", mode=0o644)
    host.unit_states["munge.service"] = UnitInfo("munge.service", "loaded", "active", "running")
    reload(host, (host.read(PATHS.config_file) or b"") + b"\nhub: {}\n")
    assert host.unit("munge.service").is_active
    assert host.read(SLURM_CONF) == b"ClusterName=theirs\n"


@pytest.mark.parametrize("is_member", [False, True])
def test_a_machine_of_another_cluster_is_refused_before_anything_changes(host, is_member):
    if is_member:
        host.unit_states["slurmd.service"] = UnitInfo("slurmd.service", "loaded", "active")
    else:
        host.write(SLURM_CONF, b"ClusterName=theirs\n", mode=0o644)
    since = len(host.effects)
    with pytest.raises(TljhError, match="Slurm that tljh did not configure"):
        configure(host, ON)
    assert host.effects[since:] == []


def test_an_address_of_another_machine_is_refused_before_anything_changes(host):
    since = len(host.effects)
    with pytest.raises(TljhError, match=r"10\.0\.0\.6 is no address of this machine"):
        configure(host, "{enabled: true, address: 10.0.0.6}")
    assert host.info(SLURM_CONF) is None
    assert not any("slurm" in each for each in host.effects[since:])


def test_a_release_with_an_old_slurm_is_refused(host):
    host.answers["apt-cache policy slurmctld"] = Result(0, "  Candidate: 21.08.5-2ubuntu1\n")
    with pytest.raises(TljhError, match=r"need Slurm 22\.05, and this release has 21\.08"):
        configure(host, ON)
    host.answers["apt-cache policy slurmctld"] = Result(0, "  Candidate: 1:22.05.8-4\n")
    configure(host, ON)


def test_a_controller_that_does_not_answer_is_rolled_back(host, slurm):
    slurm.is_down = True
    with pytest.raises(TljhError, match="controller does not answer"):
        configure(host, ON)
    assert host.info(SLURM_CONF) is None
    assert not host.unit("slurmctld.service").is_active


@pytest.mark.parametrize("workers", [ON, "{enabled: false}"])
def test_killed_before_any_effect_the_next_reload_converges(monkeypatch, slurm, workers):
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_: [])

    def prepare() -> FakeHost:
        host = make_host(slurm)
        if workers != ON:
            configure(host, ON)
        return host

    whole = prepare()
    since = len(whole.effects)
    configure(whole, workers)
    for number in range(len(whole.effects) - since):
        host = prepare()
        host.die_before = len(host.effects) + number
        with pytest.raises(Killed):
            configure(host, workers)
        host.die_before = None
        configure(host, workers)
        assert host.unit("slurmctld.service").is_active == (workers == ON), number
        assert reload(host).number is None


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("127.0.0.1", "private network"),
        ("0.0.0.0", "private network"),
        ("8.8.8.8", "private network"),
        ("fd00::5", "IPv4 address"),
        ("hub.example.org", "IPv4 address"),
        ("10.0.0.0/8", "IPv4 address"),
    ],
)
def test_an_address_that_others_reach_or_nobody_is_refused(address, problem):
    (finding,) = check(f"workers: {{enabled: true, address: '{address}'}}\n".encode())
    assert problem in finding.what


@pytest.mark.parametrize("address", ["10.0.0.5", "192.168.1.2", "100.64.3.4"])
def test_addresses_of_private_networks_are_accepted(address):
    assert not check(f"workers: {{enabled: true, address: {address}}}\n".encode())


def test_workers_without_an_address_are_refused_with_the_setting_to_give():
    (finding,) = check(b"workers: {enabled: true}\n")
    assert finding.fix == "sudo tljh-config set workers.address ADDRESS"


def test_workers_are_listed_with_their_state_and_the_reason_below():
    workers = parse_workers(NODES, Counter({"blue": 3}))
    assert [(each.name, each.state, each.jobs) for each in workers] == [
        ("blue", "ready", 3),
        ("gold", "silent", 0),
        ("green", "ready", 0),
        ("grey", "silent", 0),
        ("pink", "draining", 0),
        ("red", "drained", 0),
    ]
    lines = WorkerTable(tuple(workers)).as_text().splitlines()
    assert lines[0].split() == ["NAME", "CPUS", "MEMORY", "JOBS", "ADDRESS", "STATE"]
    assert lines[1].split() == ["blue", "8", "31.2G", "3", "10.0.0.7", "ready"]
    assert lines[3] == "    silent: Not responding"
    assert "    draining: Low RealMemory (reported:1 < 2|3)" in lines


def test_status_names_workers_that_fail_and_none_that_an_admin_drained(host, slurm):
    configure(host, ON)
    slurm.nodes = NODES
    problems = [finding.what for _, finding in checks._check(examine_machine(host, PATHS))]
    assert problems == [
        "the worker gold does not answer",
        "the worker grey does not answer",
        "Slurm takes no jobs to the worker pink",
    ]
    slurm.is_down = True
    problems = [finding.what for _, finding in checks._check(examine_machine(host, PATHS))]
    assert problems == ["Slurm's controller does not answer"]


def test_the_join_script_holds_the_key_of_the_controller_and_is_refused_while_it_is_off(host):
    with pytest.raises(TljhError, match="workers are off"):
        operations.make_join_script(host, PATHS)
    configure(host, ON)
    script = operations.make_join_script(host, PATHS)
    assert f"printf %s {(host.read(PATHS.munge_key) or b'').decode()} " in script
    assert "--conf-server 10.0.0.5:6817" in script and "@" not in script


@pytest.mark.parametrize(
    ("accounts", "is_refused"),
    [
        ([], False),
        ([("root", 0)], False),
        ([("jupyter-ann", 0)], True),
        ([("jupyter-ben", 987654)], False),
    ],
)
def test_an_account_with_the_number_of_a_user_keeps_a_machine_from_joining(accounts, is_refused):
    access = ControllerAccess("hub", "10.0.0.5", "22.05", "secret", accounts)
    check_accounts = format_join_script(access).replace("\nmain\n", "\ncheck_accounts\n")
    done = subprocess.run(["sh"], input=check_accounts, capture_output=True, text=True, timeout=30)
    assert (done.returncode != 0) == is_refused
    if is_refused:
        assert "the account root has the number 0, which is that of jupyter-ann" in done.stderr


def test_a_worker_is_drained_and_resumed_once(host, slurm):
    configure(host, ON)
    slurm.nodes = "green|idle|10.0.0.6|2|7800|22.05.8|none\n"
    since = len(host.effects)
    operations.resume_worker(host, PATHS, "green")
    assert host.effects[since:] == []
    operations.drain_worker(host, PATHS, "green")
    slurm.nodes = f"green|drained|10.0.0.6|2|7800|22.05.8|{DRAINED}\n"
    operations.drain_worker(host, PATHS, "green")
    operations.resume_worker(host, PATHS, "green")
    states = [each.partition("State=")[2].split()[0] for each in host.effects[since:]]
    assert states == ["DRAIN", "RESUME"]


def test_a_worker_with_jobs_is_not_removed(host, slurm):
    configure(host, ON)
    slurm.nodes, slurm.jobs = NODES, "green\ngreen\n"
    since = len(host.effects)
    with pytest.raises(TljhError, match="the worker green has 2 jobs"):
        operations.remove_worker(host, PATHS, "green")
    assert host.effects[since:] == []
    operations.remove_worker(host, PATHS, "gold")
    assert len(host.effects) == since + 1


@pytest.mark.parametrize(
    "change", [operations.drain_worker, operations.resume_worker, operations.remove_worker]
)
def test_a_worker_that_is_not_known_is_refused_with_those_that_are(host, slurm, change):
    with pytest.raises(TljhError, match="workers are off"):
        change(host, PATHS, "green")
    configure(host, ON)
    slurm.nodes = "green|idle|10.0.0.6|2|7800|22.05.8|none\n"
    with pytest.raises(TljhError, match="no worker is called 'gren'") as error:
        change(host, PATHS, "gren")
    assert error.value.findings[0].why == "there are: green"


def test_a_worker_that_does_not_answer_is_not_resumed(host, slurm):
    configure(host, ON)
    slurm.nodes = NODES
    with pytest.raises(TljhError, match="the worker gold does not answer"):
        operations.resume_worker(host, PATHS, "gold")
