"""Traces of former admins: found where they are, and none on a machine as it comes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tljh.base.errors import Finding
from tljh.base.paths import Paths
from tljh.host.fake import FakeHost
from tljh.host.interface import Result
from tljh.machine_logins.traces import (
    MOST_NAMED,
    find_foreign_capabilities,
    find_foreign_setuid,
    find_further_roots,
    find_keys_of_the_removed,
    find_new_root_files,
    find_preloaded,
    find_programs_of_users,
    limit,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB"


def put(host: FakeHost, path: str, text: str, owner: str = "root") -> None:
    place = Path(path)
    for parent in reversed(place.parents):
        if host.info(parent) is None:
            host.mkdir(parent, mode=0o755)
    host.write(place, text.encode(), mode=0o755, owner=owner)


def machine() -> FakeHost:
    host = FakeHost()
    for name in ("eve", "boss"):
        account = f"jupyter-{name}"
        host.add_user(account, home=Path(f"/home/{account}"), comment=f"JupyterHub user {name}")
    return host


def test_a_setuid_program_of_no_package_is_found_and_those_of_packages_are_not():
    host = machine()
    host.answers["findmnt"] = Result(0, "/\n")
    host.answers["find /"] = Result(
        0, "-rwsr-xr-x root /usr/bin/su\0-rwsr-sr-x root /tmp/.x y\nz\0-rwxr-sr-x root /opt/g\0"
    )
    host.answers["dpkg-query"] = Result(1, "login: /bin/su\n")
    whats = [finding.what for finding in find_foreign_setuid(host)]
    assert whats == [
        "/tmp/.x y\nz is a setuid program of root, and of no Debian package",
        "/opt/g is a setgid program of root, and of no Debian package",
    ]


def test_programs_of_root_come_before_those_with_which_a_user_could_hide_them():
    host = machine()
    users = "".join(f"-rwsr-xr-x jupyter-eve /home/eve/{number}\0" for number in range(50))
    host.answers["find /"] = Result(0, f"{users}-rwsr-xr-x root /srv/left\0")
    assert "/srv/left is a setuid program of root" in next(find_foreign_setuid(host)).what


def test_units_and_cron_entries_of_root_that_run_what_a_user_can_change():
    host = machine()
    put(host, "/home/jupyter-eve/job.sh", "", owner="jupyter-eve")
    put(host, "/srv/tool", "", owner="jupyter-eve")
    put(host, "/usr/bin/backup", "")
    put(host, "/etc/systemd/system/evil.service", "[Service]\nExecStart=/home/jupyter-eve/job.sh\n")
    put(
        host,
        "/etc/systemd/system/fine.service",
        "[Service]\nExecStart=/usr/bin/backup\nReadWritePaths=/home/jupyter-eve/job.sh\n",
    )
    put(host, "/etc/cron.d/evil", "# /home/jupyter-eve/job.sh\n* * * * * root /srv/tool --quiet\n")
    put(host, "/etc/systemd/system/some.service.d/x.conf", "[Service]\nExecStartPre=-/srv/tool\n")
    places = {str(finding.where) for finding in find_programs_of_users(host, "/home")}
    assert places == {
        "/etc/systemd/system/evil.service",
        "/etc/cron.d/evil",
        "/etc/systemd/system/some.service.d/x.conf",
    }


def test_keys_of_who_is_out_and_roots_keys_that_are_theirs():
    host = machine()
    put(host, "/home/jupyter-eve/.ssh/authorized_keys", f"# mine\n{KEY} eve@home\n")
    put(host, "/home/jupyter-boss/.ssh/authorized_keys", f"{KEY}Z boss@home\n")
    host.add_user("root", home=Path("/root")) if host.user("root") is None else None
    put(host, "/root/.ssh/authorized_keys", f'command="x" {KEY} innocent\n{KEY}Z boss\n')
    whats = [each.what for each in find_keys_of_the_removed(host, {"jupyter-eve"})]
    assert whats == ["a key of jupyter-eve, who is no admin, opens the account root"]
    put(host, "/etc/shadow", "jupyter-eve:!:19000:0:99999:7::1:\n")
    whats = [each.what for each in find_keys_of_the_removed(host, {"jupyter-eve"})]
    assert "jupyter-eve, who is out, has keys for SSH" in whats


def test_a_link_to_roots_keys_makes_them_nobody_elses():
    host = machine()
    put(host, "/root/.ssh/authorized_keys", f"{KEY} admin@home\n")
    host.add_user("root", home=Path("/root")) if host.user("root") is None else None
    put(host, "/home/jupyter-eve/.ssh/config", "")
    host.symlink(Path("/home/jupyter-eve/.ssh/authorized_keys"), "/root/.ssh/authorized_keys")
    assert list(find_keys_of_the_removed(host, {"jupyter-eve"})) == []


def test_a_second_root_and_a_rule_of_sudo():
    host = machine()
    put(host, "/etc/sudoers", "root ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n")
    put(host, "/etc/sudoers.d/90-cloud-init-users", "debian ALL=(ALL) NOPASSWD:ALL\n")
    assert list(find_further_roots(host, {"jupyter-eve"})) == []
    put(host, "/etc/sudoers.d/x", "\njupyter-eve ALL=(ALL) NOPASSWD:ALL\n")
    host.add_user("toor", home=Path("/root"), uid=0)
    findings = list(find_further_roots(host, {"jupyter-eve"}))
    assert [each.what for each in findings] == [
        "the account toor is root: its uid is 0",
        "jupyter-eve, who is no admin, is named in a rule of sudo",
    ]
    assert findings[1].where is not None
    assert findings[1].where.line == 2


def test_programs_with_capabilities_of_no_package_are_found():
    host = machine()
    host.answers["getcap"] = Result(
        0,
        "/usr/bin/ping cap_net_raw=ep\n/usr/local/bin/py thon cap_setuid=ep\n"
        "/var/tmp/.x = cap_dac_override+ep\n/var/lib/docker/x/ping cap_net_raw=ep\n",
    )
    host.answers["dpkg-query"] = Result(1, "iputils-ping: /bin/ping\n")
    whats = [finding.what for finding in find_foreign_capabilities(host)]
    assert whats == [
        "/usr/local/bin/py thon has capabilities (cap_setuid=ep), and is of no Debian package",
        "/var/tmp/.x has capabilities (cap_dac_override+ep), and is of no Debian package",
    ]


def test_a_library_that_all_programs_load_is_found():
    host = machine()
    assert list(find_preloaded(host)) == []
    put(host, "/etc/ld.so.preload", "/usr/local/lib/x.so\n")
    assert "/usr/local/lib/x.so" in next(find_preloaded(host)).what


def test_new_files_that_decide_what_root_runs_are_found_but_not_packages_and_ours():
    host, paths = machine(), Paths()
    put(host, str(paths.instance), "x")
    for directory in ("/etc/systemd/system", "/etc/cron.d"):
        host.mkdir(Path(directory), mode=0o755)
    ours = {"kind": "unit-file", "name": "/etc/systemd/system/jupyterhub.service", "record": {}}
    put(host, str(paths.manifest), json.dumps(ours) + "\n")
    host.answers["find /etc/systemd/system"] = Result(
        0,
        "/etc/systemd/system/jupyterhub.service\0/etc/systemd/system/left.timer\0"
        "/etc/cron.d/anacron\0/etc/cron.d/left\0",
    )
    host.answers["dpkg-query"] = Result(1, "anacron: /etc/cron.d/anacron\n")
    places = [str(finding.where.path) for finding in find_new_root_files(host, paths)]
    assert places == ["/etc/cron.d/left", "/etc/systemd/system/left.timer"]


@pytest.mark.parametrize(
    "line",
    [
        "jupyter-eve ALL=(ALL) ALL",
        "jupyter-boss,jupyter-eve ALL=ALL",
        "#{uid} ALL=ALL",
        "%friends ALL=ALL",
        "User_Alias GOOD = jupyter-boss, jupyter-eve",
    ],
)
def test_a_rule_of_sudo_names_a_user_in_each_way(line):
    host = machine()
    host.add_group("friends")
    host.add_to_group("jupyter-eve", "friends")
    text = "Defaults env_reset\nroot ALL=ALL\n" + line.format(uid=host.user("jupyter-eve").uid)
    put(host, "/etc/sudoers.d/x", text + "\n")
    whats = [finding.what for finding in find_further_roots(host, {"jupyter-eve"})]
    assert whats == ["jupyter-eve, who is no admin, is named in a rule of sudo"]


def test_of_many_findings_the_rest_is_counted():
    findings = [Finding(str(number)) for number in range(MOST_NAMED + 3)]
    listed = list(limit(findings, "keys"))
    assert len(listed) == MOST_NAMED + 1
    assert listed[-1].what == "3 more keys are not listed"
    assert list(limit(findings[:MOST_NAMED], "keys")) == findings[:MOST_NAMED]
