"""Ways onto the machine past the hub, on a machine in memory."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from tests.operations.test_converge import PATHS, install, machine, reload
from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.engine.resource import Resource
from tljh.host.accounts import ADMINS_GROUP, USERS_GROUP, make_mark
from tljh.host.fake import FakeHost
from tljh.host.interface import FileInfo, Response, Result
from tljh.machine_logins.deny_lists import DenyList, change_denials
from tljh.machine_logins.facts import PAM_AUTH_UPDATE
from tljh.machine_logins.new_account import close_new_account
from tljh.machine_logins.session_processes import MANAGED, RULE, SESSIONS
from tljh.machine_logins.ssh import format_drop_in, is_included
from tljh.operations.checks import examine_machine, run_checks
from tljh.settings.load import load
from tljh.singleuser.limits import ServerLimits

HUB_API = "http://127.0.0.1:15001/hub/api"
SSHD_CONFIG = Path("/etc/ssh/sshd_config")


@pytest.fixture(autouse=True)
def no_conda(monkeypatch):
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])
    monkeypatch.setattr("tljh.users.facts.read_logins", lambda path: ["ada"])


def put(host: FakeHost, path: str | Path, data: bytes = b"") -> None:
    """Write a file, with its directories."""
    for parent in reversed(Path(path).parents):
        if host.info(parent) is None:
            host.mkdir(parent, mode=0o755)
    host.write(Path(path), data, mode=0o644)


@pytest.fixture
def host():
    """Return a hub on a machine with sshd, polkit, cron and at, with user bob and admin ada."""
    host = machine()
    put(host, "/usr/sbin/sshd")
    put(host, "/usr/bin/crontab")
    put(host, "/etc/polkit-1/rules.d/50-theirs.rules")
    put(host, PATHS.at_denials, b"daemon\nwww-data\n")
    put(host, SSHD_CONFIG, b"# theirs\nInclude /etc/ssh/sshd_config.d/*.conf\nMatch User git\n")
    install(host)
    for login in ("bob", "ada"):
        make_account(host, login)
    host.add_to_group("jupyter-ada", ADMINS_GROUP)
    reload(host)
    return host


def make_account(host: FakeHost, login: str) -> None:
    account = f"jupyter-{login}"
    host.add_user(account, home=Path("/home") / account, comment=make_mark(login))
    host.add_to_group(account, USERS_GROUP)


def settle(host: FakeHost, text: str) -> None:
    reload(host, f"users: {{admin: [ada], {text}}}\n".encode())


def text_of(host: FakeHost, path: Path) -> str:
    return (host.read(path) or b"").decode()


def test_by_default_only_admins_log_in_with_ssh(host):
    rules = text_of(host, PATHS.sshd_drop_in)
    assert f"Match Group {USERS_GROUP},!{ADMINS_GROUP}\n    DenyUsers *" in rules


@pytest.mark.parametrize(
    ("who", "rule"),
    [
        ("none", f"Match Group {USERS_GROUP}\n    DenyUsers *\n"),
        ("sftp", "ForceCommand internal-sftp -d /%u\n    DisableForwarding yes"),
        ("sftp", "ChrootDirectory /home\n"),
    ],
)
def test_who_may_log_in_with_ssh_can_be_set(host, who, rule):
    settle(host, f"ssh: {who}")
    assert rule in text_of(host, PATHS.sshd_drop_in)


def test_where_users_may_have_shells_sshd_has_no_rule_for_them(host):
    settle(host, "ssh: shell")
    assert "Match" not in text_of(host, PATHS.sshd_drop_in)


PAM_UPDATE = "run /usr/sbin/pam-auth-update --package"
PAM_ENABLE = f"{PAM_UPDATE} --enable tljh"


@pytest.fixture
def pam(host):
    """Give the machine Debian's files of PAM; return what `pam-auth-update` makes of them."""
    put(host, PAM_AUTH_UPDATE)
    put(host, PATHS.pam_profile.parent / "unix")
    put(host, "/etc/security/namespace.conf")
    put(host, SESSIONS, f"{MANAGED}\n".encode())

    def update() -> None:
        rule = f"session {RULE}\n" if host.info(PATHS.pam_profile) else ""
        host.write(SESSIONS, f"{MANAGED}\n{rule}".encode(), mode=0o644)

    return update


def test_where_users_may_have_shells_sessions_hide_the_processes_of_others(host, pam):
    settle(host, "ssh: sftp")
    assert host.info(PATHS.pam_profile) is None and PAM_UPDATE not in host.effects
    settle(host, "ssh: shell")
    assert "hidepid=invisible" in text_of(host, PATHS.session_script)
    assert PAM_ENABLE in host.effects
    pam()
    host.effects.clear()
    settle(host, "ssh: shell")
    assert host.effects == []
    settle(host, "ssh: admins")
    assert host.effects.count(PAM_UPDATE) == 1
    for path in (PATHS.pam_profile, PATHS.session_script, PATHS.session_namespace):
        assert host.info(path) is None


def test_after_a_kill_before_pam_read_the_profile_the_next_run_has_it_read(host, pam):
    settle(host, "ssh: shell")
    host.effects.clear()
    settle(host, "ssh: shell")
    assert PAM_ENABLE in host.effects


def test_files_of_pam_that_an_admin_edits_are_left_alone_and_reported(host, pam):
    host.write(SESSIONS, b"session required pam_unix.so\n", mode=0o644)
    settle(host, "ssh: shell")
    host.effects.clear()
    settle(host, "ssh: shell")
    assert PAM_ENABLE not in host.effects
    assert "in SSH sessions, users see the command lines of others" in findings(host)


def test_a_service_whose_file_of_pam_leaves_the_profile_out_is_reported(host, pam):
    put(host, "/etc/pam.d/sshd", b"@include common-session\n")
    settle(host, "ssh: shell")
    pam()
    what = "in SSH sessions, users see the command lines of others"
    assert what not in findings(host)
    put(host, "/etc/pam.d/sshd", b"# @include common-session\nsession required pam_unix.so\n")
    assert what in findings(host)


def test_the_file_of_sessions_without_a_terminal_gets_the_profile_too(host, pam):
    settle(host, "ssh: shell")
    pam()
    put(host, "/etc/pam.d/common-session-noninteractive", f"{MANAGED}\n".encode())
    host.effects.clear()
    settle(host, "ssh: shell")
    assert PAM_ENABLE in host.effects


def test_where_a_session_cannot_have_its_own_proc_nobody_is_locked_out(host, pam):
    host.answers["unshare --mount"] = Result(1, "", "unshare: Operation not permitted\n")
    settle(host, "ssh: shell")
    assert host.info(PATHS.pam_profile) is None
    assert "in SSH sessions, users see the command lines of others" in findings(host)


@pytest.mark.parametrize(
    ("ssh", "loss"),
    [("shell", "no limits, and show the processes of others"), ("sftp", "no limits")],
)
def test_an_sshd_that_does_not_ask_pam_is_reported(host, ssh, loss):
    settle(host, f"ssh: {ssh}")
    what = f"sessions of users by SSH have {loss}: sshd does not ask PAM"
    host.answers["/usr/sbin/sshd -T"] = Result(0, "usepam yes\nforcecommand internal-sftp\n")
    assert what not in findings(host)
    host.answers["/usr/sbin/sshd -T"] = Result(0, "usepam no\nforcecommand internal-sftp\n")
    assert what in findings(host)


def test_user_units_hide_the_processes_of_others_too(host, pam):
    settle(host, "user_units: true")
    assert PAM_ENABLE in host.effects


def test_the_bus_tells_users_nothing_of_the_units_of_others(host):
    assert host.info(PATHS.bus_policy) is None
    put(host, PATHS.bus_policy.with_name("theirs.conf"))
    settle(host, "ssh: admins")
    policy = text_of(host, PATHS.bus_policy)
    assert f'group="{USERS_GROUP}"' in policy
    assert 'deny send_destination="org.freedesktop.systemd1"' in policy
    reload(host, b"users: {admin: [ada]}\nisolation: {processes: false}\n")
    assert host.info(PATHS.bus_policy) is None


def test_sshd_reads_its_rules_again_and_open_sessions_stay(host):
    host.systemctl("start", "ssh.service")
    host.effects.clear()
    settle(host, "ssh: sftp")
    assert "systemctl reload ssh.service" in host.effects
    assert "systemctl restart ssh.service" not in host.effects


def test_rules_that_sshd_refuses_are_not_written(host):
    before = text_of(host, PATHS.sshd_drop_in)
    host.answers["/usr/sbin/sshd -t"] = Result(255, "", "line 3: Bad configuration option: Foo")
    with pytest.raises(TljhError, match="sshd refuses its configuration") as raised:
        settle(host, "ssh: sftp")
    assert "line 3" in str(raised.value.findings[0].why)
    assert text_of(host, PATHS.sshd_drop_in) == before


@pytest.mark.parametrize(
    ("text", "is_read"),
    [
        ("Include /etc/ssh/sshd_config.d/*.conf", True),
        ("include sshd_config.d/*.conf", True),
        ('Include "/etc/ssh/other.d/*" /etc/ssh/sshd_config.d/*', True),
        ("#Include /etc/ssh/sshd_config.d/*.conf", False),
        ("Match User git\nInclude /etc/ssh/sshd_config.d/*.conf", False),
        ("Include /etc/ssh/other.d/*.conf", False),
        ("", False),
    ],
)
def test_a_configuration_that_does_not_include_drop_ins_is_noticed(host, text, is_read):
    put(host, SSHD_CONFIG, text.encode())
    assert is_included(host) is is_read


def test_a_configuration_without_include_is_said_by_reload_and_doctor(host):
    put(host, SSHD_CONFIG, b"PermitRootLogin no\n")
    expected = "users.ssh has no effect: sshd does not read its drop-ins"
    outcome = reload(host, b"users: {admin: [ada], ssh: none}\n")
    assert [warning.what for warning in outcome.warnings] == [expected]
    assert expected in findings(host)


def findings(host: FakeHost) -> list[str]:
    return [
        item.finding.what for item in run_checks(examine_machine(host, PATHS), quick_only=False)
    ]


def test_doctor_asks_sshd_whether_the_rules_are_in_effect(host):
    host.answers["/usr/sbin/sshd -T"] = Result(0, "forcecommand none\n")
    expected = "jupyter-bob can log in with SSH, though users.ssh is admins"
    assert expected in findings(host)
    host.answers["/usr/sbin/sshd -T"] = Result(0, "denyusers *\n")
    assert expected not in findings(host)


def test_polkit_and_user_managers_refuse_users_who_are_no_admins(host):
    assert "return polkit.Result.NO;" in text_of(host, PATHS.polkit_rules)
    assert "set-self-linger" not in text_of(host, PATHS.polkit_rules)
    assert "ExecCondition" in text_of(host, PATHS.user_manager_drop_in)


def test_a_polkit_that_reads_no_javascript_refuses_them_too(host):
    assert host.info(PATHS.polkit_entries) is None
    put(host, PATHS.polkit_authority / "50-local.d/theirs.pkla")
    settle(host, "user_units: false")
    sections = configparser.ConfigParser()
    sections.optionxform = str
    sections.read_string(text_of(host, PATHS.polkit_entries))
    users, admins = sections["JupyterHub: users"], sections["JupyterHub: admins"]
    assert (users["Identity"], users["ResultAny"]) == (f"unix-group:{USERS_GROUP}", "no")
    assert (admins["Identity"], admins["ResultAny"]) == ("unix-user:jupyter-ada", "auth_admin")
    assert "JupyterHub: lingering" not in sections
    settle(host, "user_units: true")
    assert "[JupyterHub: lingering]" in text_of(host, PATHS.polkit_entries)


def test_user_units_can_be_allowed(host):
    settle(host, "user_units: true")
    assert "set-self-linger" in text_of(host, PATHS.polkit_rules)
    assert host.info(PATHS.user_manager_drop_in) is None


def test_cron_and_at_name_each_user_who_is_no_admin_and_keep_other_lines(host):
    assert text_of(host, PATHS.cron_denials) == "jupyter-bob\n"
    assert text_of(host, PATHS.at_denials) == "daemon\nwww-data\njupyter-bob\n"
    settle(host, "allowed: [bob]")
    reload(host, b"users: {admin: [ada, bob]}\n")
    assert text_of(host, PATHS.at_denials) == "daemon\nwww-data\n"


def test_a_former_admin_is_denied_cron_again(host):
    users = Response(200, '{"items": [], "_pagination": {"next": null}}')
    host.responses[f"{HUB_API}/users?offset=0&limit=200"] = users
    host.responses[f"{HUB_API}/tljh/users/bob"] = Response(204)
    reload(host, b"users: {admin: [ada, bob]}\n")
    assert text_of(host, PATHS.cron_denials) == ""
    settle(host, "allowed: [bob]")
    assert text_of(host, PATHS.cron_denials) == "jupyter-bob\n"


def test_a_machine_where_at_is_roots_alone_gets_no_list_that_would_open_it():
    host = machine()
    install(host)
    assert host.info(PATHS.at_denials) is None


def test_a_rollback_keeps_what_was_added_to_a_deny_list_meanwhile(host):
    denials = DenyList(PATHS.cron_denials, frozenset({"jupyter-bob", "jupyter-carol"}))
    record = denials.before(host)
    denials.apply(host, SilentProgress())
    change_denials(host, PATHS.cron_denials, added=["jupyter-dan"])
    Resource.of_kind("deny-list").revert(host, record)
    assert text_of(host, PATHS.cron_denials) == "jupyter-bob\njupyter-dan\n"


def test_login_sessions_have_the_limits_of_the_users_server(host):
    bob, ada = host.accounts["jupyter-bob"].uid, host.accounts["jupyter-ada"].uid
    reload(host, b"users: {admin: [ada]}\nlimits: {memory: 400M}\n")
    limits = text_of(host, PATHS.session_limits(bob))
    assert "\nMemoryMax=419430400\n" in limits and "\nTasksMax=" in limits
    assert host.info(PATHS.session_limits(ada)) is None
    reload(host, b"users: {admin: [ada, bob]}\n")
    assert host.info(PATHS.session_limits(bob)) is None


def test_a_new_account_is_closed_before_its_server_starts(host):
    make_account(host, "carol")
    close_new_account(host, "jupyter-carol", ServerLimits(memory_bytes=1024), PATHS)
    for path in (PATHS.cron_denials, PATHS.at_denials):
        assert "jupyter-carol\n" in text_of(host, path)
    uid = host.accounts["jupyter-carol"].uid
    assert "\nMemoryMax=1024\n" in text_of(host, PATHS.session_limits(uid))


def test_the_next_reload_finds_a_new_account_closed(host):
    make_account(host, "carol")
    from tljh.singleuser.limits import parse_policy, read_machine_size

    policy = parse_policy(host.read(PATHS.applied.limits), read_machine_size(host))
    close_new_account(host, "jupyter-carol", policy.of("carol"), PATHS)
    host.effects.clear()
    reload(host)
    assert not [effect for effect in host.effects if "slice" in effect or ".deny" in effect]


def test_accounts_that_the_hub_does_not_manage_keep_their_ways(host):
    reload(host, b"users: {accounts: existing, admin: [ada]}\n")
    assert "Match" not in text_of(host, PATHS.sshd_drop_in)
    assert host.info(PATHS.polkit_rules) is None
    assert host.info(PATHS.user_manager_drop_in) is None
    assert text_of(host, PATHS.cron_denials) == ""


def test_without_the_services_nothing_is_written_for_them():
    host = machine()
    install(host)
    for path in (PATHS.sshd_drop_in, PATHS.polkit_rules, PATHS.cron_denials, PATHS.at_denials):
        assert host.info(path) is None


def test_doctor_names_what_runs_outside_the_hub(host):
    put(host, PATHS.linger / "jupyter-bob")
    put(host, PATHS.linger / "jupyter-ada")
    put(host, PATHS.crontabs / "jupyter-bob", b"* * * * * evil\n")
    put(host, PATHS.at_jobs / "a00001")
    host.files[PATHS.at_jobs / "a00001"] = (
        FileInfo("file", 0o700, "jupyter-bob", "daemon", 5),
        b"evil\n",
    )
    host.answers["loginctl show-user jupyter-bob"] = Result(0, "3\n")
    who = "jupyter-bob, who is no admin,"
    expected = {
        f"{who} has a session outside the hub",
        f"{who} lingers: systemd starts programs of theirs at boot",
        f"{who} has entries of cron, which run without limits",
        f"{who} has jobs of at, which run without limits",
    }
    assert expected <= set(findings(host))
    assert not [what for what in findings(host) if "ada, who" in what]


def test_a_machine_of_tljh_can_keep_shells_for_all():
    assert "Match" not in format_drop_in(load(b"users: {ssh: shell}").users)
