"""The firewall on a machine in memory: other firewalls, ports of SSH, the way back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.operations.test_converge import PATHS, install, machine, reload
from tljh.base.errors import TljhError
from tljh.firewall import checks
from tljh.firewall.facts import find_cloud_firewall, find_other_firewall, find_ssh_ports
from tljh.firewall.loaded_rules import BACK_TIMER, FirewallRules, confirm, get_files
from tljh.host.fake import FakeHost
from tljh.host.interface import Result, UnitInfo
from tljh.operations.checks import examine_machine
from tljh.operations.converge import Outcome

ON = "{enabled: true}"
FILES = get_files(PATHS)


class Kernel:
    """As much of nft as tljh uses: it holds one table, and can be asked for its chains."""

    def __init__(self) -> None:
        self.table = ""

    def __call__(self, argv: Sequence[str]) -> Result:
        if argv[1:3] == ["list", "chain"]:
            return Result(0, argv[-1]) if argv[-1] in self.table else Result(1)
        if argv[1:3] == ["list", "table"]:
            return Result(0, self.table) if self.table else Result(1)
        return Result(0)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, kernel: Kernel) -> FakeHost:
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_: [])
    host = machine()
    install(host)
    host.answers["nft"] = kernel
    run = host.run

    def load(argv: Sequence[str], **options: object) -> Result:
        script = str(options.get("stdin"))
        if list(argv) == ["nft", "-f", "-"] and "tljh_firewall" in script:
            kernel.table = script if "policy" in script else ""
        return run(argv, **options)

    monkeypatch.setattr(host, "run", load)
    return host


def configure(host: FakeHost, firewall: str) -> Outcome:
    text = (host.read(PATHS.config_file) or b"").decode()
    lines = [line for line in text.splitlines() if not line.startswith("firewall:")]
    return reload(host, "\n".join([*lines, f"firewall: {firewall}", ""]).encode())


def test_new_rules_start_the_way_back_before_they_are_loaded(host, kernel):
    outcome = configure(host, ON)
    assert "policy drop" in kernel.table
    assert host.unit(BACK_TIMER).is_active
    effects = [each for each in host.effects if BACK_TIMER in each or "nft -f" in each]
    assert "start" in effects[-2] and "nft" in effects[-1]
    assert host.read(FILES.before) is not None and host.read(FILES.confirmed) is None
    assert any("goes back by itself" in warning.what for warning in outcome.warnings)


def test_workers_reach_the_controller(host, kernel):
    text = (host.read(PATHS.config_file) or b"").decode()
    host.answers["hostname -I"] = Result(0, "10.0.0.5\n")
    for directory in (PATHS.slurm_dir, PATHS.munge_key.parent):
        host.mkdir(directory, mode=0o755)
    reload(host, f"{text}\nworkers: {{enabled: true, address: 10.0.0.5}}\n".encode())
    configure(host, ON)
    assert "6817" in kernel.table


def test_confirmed_rules_stay_and_are_those_of_the_next_boot(host, kernel):
    configure(host, ON)
    assert confirm(host, FILES)
    assert not host.unit(BACK_TIMER).is_active
    assert host.read(FILES.confirmed) == host.read(FILES.rules)
    assert not confirm(host, FILES)
    # Another program flushed all rules: they come back without a question.
    kernel.table = ""
    assert [each.what for _, each in checks._check(examine_machine(host, PATHS))] == [
        "the rules of the firewall are not loaded"
    ]
    outcome = reload(host)
    assert kernel.table and not outcome.warnings
    assert not host.unit(BACK_TIMER).is_active


def test_rules_that_went_back_are_not_loaded_by_the_next_reload(host, kernel):
    configure(host, ON)
    kernel.table = ""
    host.write(FILES.refused, host.read(FILES.rules), mode=0o600)
    reload(host)
    assert kernel.table == ""
    with pytest.raises(TljhError, match="nothing to confirm"):
        confirm(host, FILES)
    assert [each.what for _, each in checks._check(examine_machine(host, PATHS))] == [
        "the firewall went back: its rules were not confirmed in time"
    ]
    # Other rules are tried.
    configure(host, "{enabled: true, ports: ['8080']}")
    assert "8080" in kernel.table


def test_a_firewall_that_is_switched_off_leaves_nothing(host, kernel):
    configure(host, ON)
    confirm(host, FILES)
    configure(host, "{enabled: false}")
    assert kernel.table == ""
    assert host.listdir(FILES.directory) == []
    assert host.info(PATHS.units_dir / BACK_TIMER) is None


def test_a_change_that_fails_goes_back_to_the_rules_before(host, kernel):
    rules = FirewallRules("table inet tljh_firewall { chain digest_1 {} policy }", FILES)
    host.mkdir(FILES.directory, mode=0o700)
    record = rules.before(host)
    rules.apply(host, None)
    FirewallRules.revert(host, record)
    assert kernel.table == "" and not host.unit(BACK_TIMER).is_active


def test_another_firewall_is_left_alone_and_named(host, kernel):
    host.unit_states["firewalld.service"] = UnitInfo("firewalld.service", "loaded", "active")
    configure(host, ON)
    assert kernel.table == "" and host.info(FILES.rules) is None
    [(_severity, finding)] = checks._check(examine_machine(host, PATHS))
    assert "firewalld guards this machine" in finding.what


def test_ufw_and_other_tables_are_recognized():
    host = FakeHost()
    for path in ("/usr", "/usr/sbin"):
        host.mkdir(Path(path), mode=0o755)
    host.write(Path("/usr/sbin/ufw"), b"", mode=0o755)
    host.answers["ufw"] = Result(0, "Status: inactive\n")
    host.answers["nft"] = Result(0, "")
    assert find_other_firewall(host) is None
    host.answers["ufw"] = Result(0, "Status: active\n")
    assert find_other_firewall(host) == "ufw"
    host.answers["ufw"] = Result(0, "Status: inactive\n")
    chains = (
        "table inet {} {{\n\tchain input {{\n\t\ttype filter hook input priority filter; "
        "policy {};\n\t}}\n}}\n"
    )
    for table, policy, expected in (
        ("filter", "drop", "the nftables table inet filter"),
        ("filter", "accept", None),
        ("tljh_firewall", "drop", None),
    ):
        host.answers["nft"] = Result(0, chains.format(table, policy))
        assert find_other_firewall(host) == expected


SS = """\
LISTEN 0 128 0.0.0.0:2222 0.0.0.0:* users:(("sshd",pid=1,fd=3))
LISTEN 0 128 [::]:2222 [::]:* users:(("sshd",pid=1,fd=4))
LISTEN 0 128 *:22 *:* users:(("systemd",pid=1,fd=4))
LISTEN 0 128 127.0.0.1:15001 0.0.0.0:* users:(("jupyterhub",pid=9,fd=4))
"""


def test_the_ports_of_ssh_are_those_configured_listened_on_and_passed_by_systemd():
    host = FakeHost()
    assert find_ssh_ports(host) == (22,)
    host.answers["ss"] = Result(0, SS)
    assert find_ssh_ports(host) == (2222,)
    for path in ("/usr", "/usr/sbin"):
        host.mkdir(Path(path), mode=0o755)
    host.write(Path("/usr/sbin/sshd"), b"", mode=0o755)
    host.answers["/usr/sbin/sshd"] = Result(0, "port 2200\nport 2222\naddressfamily any\n")
    assert find_ssh_ports(host) == (2200, 2222)
    host.unit_states["ssh.socket"] = UnitInfo("ssh.socket", "loaded", "active")
    host.answers["systemctl"] = Result(0, "[::]:22 (Stream)\n")
    assert find_ssh_ports(host) == (22, 2200, 2222)


def test_the_firewall_of_a_cloud_is_named():
    host = FakeHost()
    assert find_cloud_firewall(host) is None
    path = Path("/sys/class/dmi/id")
    for directory in (*reversed(path.parents[:-1]), path):
        host.mkdir(directory, mode=0o755)
    host.write(path / "sys_vendor", b"Amazon EC2\n", mode=0o444)
    assert "security group" in find_cloud_firewall(host)
