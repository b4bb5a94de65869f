"""The users and servers in the table, and a table that cannot be loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tljh.base.paths import Paths
from tljh.host.accounts import USERS_GROUP, make_mark
from tljh.host.fake import FakeHost
from tljh.host.interface import FileInfo, GroupInfo, Result, UnitInfo, UserInfo
from tljh.settings.load import load as load_config
from tljh.singleuser.checks import check_disk, check_isolation
from tljh.singleuser.network_isolation import (
    SUBORDINATES,
    UNIT,
    admit,
    find_isolated_users,
    find_server_ports,
    forget_server,
    has_table,
    load,
    load_problem,
    read_subordinates,
)
from tljh.singleuser.nftables_rules import IsolatedUser, ServerPort, format_removal, format_table
from tljh.singleuser.resources import LoadedRules, build_isolation_resources

RULES = Paths().isolation_rules
NEITHER = b"isolation: {network: false}\nproxy: {connections_per_address: 0}\n"
SHOWN = """\
Id=jupyter-ann.service
UID=1000
ActiveState=active

Id=jupyter-bob.service
UID=1001
ActiveState=failed
"""


class Nft:
    """A stand-in for nft that keeps the scripts, and refuses those that a test wants refused."""

    def __init__(self, refuses: str | None = None) -> None:
        self.refuses = refuses
        self.loaded = True

    def __call__(self, argv) -> Result:
        if "list" in argv:
            return Result(0 if self.loaded else 1)
        return Result(1, "", self.refuses) if self.refuses else Result(0)


class Machine(FakeHost):
    """A fake machine that keeps the scripts for nft."""

    def run(self, argv, *, timeout_s, env=None, stdin=None, on_line=None):
        if argv[:1] == ["nft"]:
            self.scripts.append(stdin)
        return super().run(argv, timeout_s=timeout_s, env=env, stdin=stdin, on_line=on_line)


def put(host: FakeHost, path: Path | str, text: str) -> None:
    host.files[Path(path)] = (FileInfo("file", 0o600, "root", "root"), text.encode())


@pytest.fixture
def nft() -> Nft:
    return Nft()


@pytest.fixture
def host(nft) -> Machine:
    machine = Machine()
    machine.scripts = []
    machine.answers = {"nft": nft, "systemctl show": Result(0, SHOWN)}
    for number, name in enumerate(("jupyter-ann", "jupyter-bob", "carl", "dora")):
        comment = make_mark(name) if name.startswith("jupyter-") else ""
        machine.accounts[name] = UserInfo(name, 1000 + number, 1000, f"/home/{name}", "", comment)
    machine.group_entries[USERS_GROUP] = GroupInfo(USERS_GROUP, 900, ("jupyter-ann", "carl"))
    put(machine, SUBORDINATES, "jupyter-ann:100000:65536\ncarl:1001:5\nbad\ncarl:165536:10\n")
    environment = "A=1\nJUPYTERHUB_SERVICE_URL=http://127.0.0.1:4711/user/ann/\n"
    put(machine, "/run/jupyter-ann.service/jupyter-ann.service.env", environment)
    put(machine, RULES, format_table(proxy="traefik", api_port=8099))
    return machine


def test_people_are_the_hubs_accounts_and_those_that_the_hub_uses(host):
    assert [user.uid for user in find_isolated_users(host)] == [1000, 1001, 1002]


def test_a_range_that_overlaps_an_account_is_nobodys(host):
    assert read_subordinates(host) == {
        "jupyter-ann": ((100000, 165535),),
        "carl": ((165536, 165545),),
    }


def test_servers_that_run_are_found_by_what_they_were_started_with(host):
    assert find_server_ports(host) == [ServerPort(4711, 1000)]


def test_a_server_that_the_littlest_jupyterhub_started_stays_reachable(host):
    del host.files[Path("/run/jupyter-ann.service/jupyter-ann.service.env")]
    line = "JUPYTERHUB_SERVICE_URL=http://127.0.0.1:5000/user/ann/\n"
    put(host, "/run/jupyter-ann/jupyter-ann.env", line)
    assert find_server_ports(host) == [ServerPort(5000, 1000)]


def test_loading_replaces_the_table_with_everybody_in_one_script(host):
    assert load(host, Paths()) is None
    (script,) = host.scripts
    assert script.startswith(format_removal())
    assert "servers { 4711 . 1000 }" in script
    assert "1002 : 1002" in script
    assert load_problem(host) is None


def test_a_service_gets_its_port_to_itself_and_the_proxy(host):
    host.accounts["tljh-svc-board"] = UserInfo("tljh-svc-board", 990, 990, "/", "")
    put(host, Paths().service_ports, '{"tljh-svc-board": 9100, "tljh-svc-gone": 9200}')
    assert load(host, Paths()) is None
    (script,) = host.scripts
    assert "users { 990 : 990 }" in script and "servers { 9100 . 990 }" in script
    assert "9200" not in script


def test_where_no_rules_are_wanted_the_table_goes(host):
    put(host, RULES, format_removal())
    assert load(host, Paths()) is None
    assert host.scripts == [format_removal()]


def test_a_kernel_without_nftables_is_told_and_stops_nothing(host, nft):
    nft.refuses = "Error: Could not process rule: Operation not supported\ntable inet tljh {\n^^^^"
    assert load(host, Paths()) == "Error: Could not process rule: Operation not supported"
    assert json.loads(host.read(Paths.isolation_problem))["problem"].startswith("Error: Could not")


def test_a_start_adds_its_owner_and_port_to_what_is_loaded(host):
    assert admit(host, "jupyter-ann", 4711) is None
    (script,) = host.scripts
    assert "servers { 4711 . 1000 }" in script
    assert "table" not in script.split("\n")[0].split("{")[0]


def test_a_table_that_was_flushed_is_loaded_again_at_the_next_start(host, nft):
    nft.refuses, nft.loaded = "No such file or directory", False
    assert admit(host, "jupyter-ann", 4711) == "No such file or directory"
    assert f"systemctl restart {UNIT}" in host.effects
    assert len(host.scripts) == 2


def test_a_server_that_stops_gives_its_port_up(host):
    forget_server(host, "jupyter-ann", 4711)
    assert "delete element" in host.scripts[0]
    forget_server(host, "nobody", 4711)
    assert len(host.scripts) == 1


def test_status_reports_why_users_can_reach_each_others_ports(host, nft):
    on, off = load_config(b""), load_config(NEITHER)
    assert list(check_isolation(host, on)) == []
    nft.loaded = False
    assert "removed the table" in next(check_isolation(host, on)).why
    put(host, Paths.isolation_problem, '{"problem": "no nftables here"}')
    assert next(check_isolation(host, on)).why == "no nftables here"
    assert list(check_isolation(host, off)) == []
    only_addresses = load_config(b"isolation: {network: false}")
    assert next(check_isolation(host, only_addresses)).what.startswith("an address may open")


def test_the_rules_follow_the_ports_and_proxies_of_the_configuration():
    def rules(text: bytes) -> str:
        rules_file, _, _, loader = build_isolation_resources(load_config(text), Paths())
        assert loader.keeps_table == has_table(rules_file.data.decode())
        return rules_file.data.decode()

    assert "tcp dport { 80 } jump visitors" in rules(b"")
    assert "ct count over 4096 }" in rules(b"")
    assert "tcp dport { 80, 443 } jump visitors" in rules(b"https: {enabled: true, mode: internal}")
    assert "elements = { 10.0.0.0/8 }" in rules(b"trusted_proxies: [10.0.0.0/8, 10.0.0.1]")
    no_limit = rules(b"proxy: {connections_per_address: 0}")
    assert "hook output" in no_limit and "visitors" not in no_limit
    open_ports = rules(b"isolation: {network: false}")
    assert "hook output" not in open_ports and "jump visitors" in open_ports
    assert rules(NEITHER) == format_removal()


@pytest.mark.parametrize(
    ("devices", "blocks", "is_told"),
    [("7\n7\n", "90 90\n", True), ("7\n7\n", "90 70\n", False), ("7\n8\n", "90 90\n", False)],
)
def test_doctor_tells_where_people_can_fill_the_hubs_disk(host, devices, blocks, is_told):
    host.answers |= {"stat --format": Result(0, devices), "stat --file": Result(0, blocks)}
    assert bool(list(check_disk(host, load_config(b""), Paths()))) == is_told


def test_rules_that_vanished_are_loaded_by_a_reload_that_changes_nothing_else(host, nft):
    host.unit_states[UNIT] = UnitInfo(UNIT, "loaded", "active", enabled="enabled")
    assert LoadedRules(UNIT).planned(host, frozenset()) is None
    nft.loaded = False
    _, difference = LoadedRules(UNIT).planned(host, frozenset())
    assert difference.summary.startswith("restart")
    assert LoadedRules(UNIT, keeps_table=False).planned(host, frozenset()) is None


def test_person_without_subordinates_is_alone():
    assert IsolatedUser(1).ranges == ()
