"""Traces of former admins: found where they are, and none on a machine as it comes."""

from __future__ import annotations

from pathlib import Path

from tljh.host.fake import FakeHost
from tljh.host.interface import Result
from tljh.machine_logins.traces import (
    find_foreign_setuid,
    find_further_roots,
    find_keys_of_the_removed,
    find_programs_of_users,
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
        0, "-rwsr-xr-x root /usr/bin/su\n-rwsr-sr-x root /var/tmp/.x y\n-rwxr-sr-x root /opt/g\n"
    )
    host.answers["dpkg-query"] = Result(1, "login: /bin/su\n")
    whats = [finding.what for finding in find_foreign_setuid(host)]
    assert whats == [
        "/var/tmp/.x y is a setuid program of root, and of no Debian package",
        "/opt/g is a setgid program of root, and of no Debian package",
    ]


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
