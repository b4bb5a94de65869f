"""Checks of logins on the machine: whether each way past the hub is closed."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from tljh.base.errors import Finding, Place
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.host.accounts import ADMINS_GROUP, USERS_GROUP, is_expired
from tljh.host.interface import HostReader, UserInfo
from tljh.machine_logins.facts import SSHD, LoginFacts
from tljh.machine_logins.session_processes import find_open_services, hides_processes
from tljh.machine_logins.ssh import CONFIGURATION, describe_missing_include, is_included
from tljh.machine_logins.traces import (
    find_foreign_capabilities,
    find_foreign_setuid,
    find_further_roots,
    find_keys_of_the_removed,
    find_new_root_files,
    find_preloaded,
    find_programs_of_users,
    limit,
)
from tljh.plugins.checks import Check, CheckedMachine, Result

WITHOUT_SHELLS = "sudo tljh-config set users.ssh sftp && sudo tljh-config reload"


def _check_ssh(subject: CheckedMachine) -> Iterator[Result]:
    if subject.config is None or subject.facts is None or not subject.is_installed:
        return
    users = subject.config.users
    logins = subject.facts.of(LoginFacts)
    yield from _check_hiding(subject, logins)
    member = next((user for user in logins.users if _is_member(subject.host, user)), None)
    rules = _ask_sshd(subject.host, member.name) if member and logins.has_sshd else None
    if (
        users.accounts == "managed"
        and users.ssh in ("shell", "sftp")
        and "usepam no" in (rules or "")
    ):
        yield Severity.DEGRADED, _describe_missing_pam(users.ssh)
    if not logins.has_sshd or users.accounts != "managed" or users.ssh == "shell":
        return
    if not is_included(subject.host):
        yield Severity.DEGRADED, describe_missing_include()
        return
    rule = "forcecommand internal-sftp" if users.ssh == "sftp" else "denyusers *"
    if member and rules is not None and rule not in rules:
        yield (
            Severity.DEGRADED,
            Finding(
                f"{member.name} can log in with SSH, though users.ssh is {users.ssh}",
                where=Place(str(CONFIGURATION)),
                why="another file has a Match block for the same users before tljh's",
                fix=f"find it: sudo sshd -T -C user={member.name}; then: sudo systemctl reload ssh",
            ),
        )
    if users.ssh == "sftp":
        yield from _check_chroot(subject.host, users.home_root)


def _check_hiding(subject: CheckedMachine, logins: LoginFacts) -> Iterator[Result]:
    """Report sessions that show the processes of others, though they should not."""
    if subject.config is None or not hides_processes(subject.config):
        return
    what = "in SSH sessions, users see the command lines of others"
    if logins.mount_problem is not None:
        yield (
            Severity.DEGRADED,
            Finding(
                what,
                why="a session cannot have a /proc of its own on this machine, as in some "
                f"containers: {logins.mount_problem}",
                fix=WITHOUT_SHELLS,
            ),
        )
        return
    open_services = find_open_services(subject.host)
    if open_services:
        yield (
            Severity.DEGRADED,
            Finding(
                what,
                where=Place(str(open_services[0])),
                why="this file of PAM, or one that it should include, was edited by hand, so it "
                "has not got tljh's profile",
                fix="let it have the line `@include common-session`, and pam-auth-update write "
                f"that file, which drops edits: sudo pam-auth-update --force; or: {WITHOUT_SHELLS}",
            ),
        )


def _describe_missing_pam(ssh: str) -> Finding:
    lost = "no limits, and show the processes of others" if ssh == "shell" else "no limits"
    return Finding(
        f"sessions of users by SSH have {lost}: sshd does not ask PAM",
        where=Place(str(CONFIGURATION)),
        why="UsePAM is no, so nothing puts a session into the slice of its user",
        fix=f"find it: sudo grep -rni usepam {CONFIGURATION} {CONFIGURATION}.d; change it to "
        "`UsePAM yes`; then: sudo sshd -t && sudo systemctl reload ssh",
    )


def _is_member(host: HostReader, user: UserInfo) -> bool:
    group, admins = host.group(USERS_GROUP), host.group(ADMINS_GROUP)
    is_admin = admins is not None and user.name in admins.members
    return group is not None and user.name in group.members and not is_admin


def _ask_sshd(host: HostReader, account: str) -> str | None:
    """Return what sshd would apply to an account; None where sshd cannot be asked."""
    connection = f"user={account},host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22"
    answer = host.query([str(SSHD), "-T", "-C", connection])
    return answer.out if answer.ok else None


def _check_chroot(host: HostReader, home_root: str) -> Iterator[Result]:
    info = host.query(["stat", "--dereference", "--format=%U %a", home_root]).out.split()
    if len(info) == 2 and (info[0] != "root" or int(info[1], 8) & 0o022):
        yield (
            Severity.DEGRADED,
            Finding(
                f"sshd refuses sftp: {home_root} belongs to {info[0]} and has mode {info[1]}",
                why="only root may be able to change the directory that sftp is confined to",
                fix=f"sudo chown root: {quote(home_root)} && sudo chmod go-w {quote(home_root)}",
            ),
        )


def _check_sessions(subject: CheckedMachine) -> Iterator[Result]:
    """Report sessions, lingering and jobs of users to whom they are closed."""
    if subject.config is None or subject.facts is None:
        return
    host, settings = subject.host, subject.config.users
    for user in subject.facts.of(LoginFacts).users:
        is_out = is_expired(host, user.name)
        status = "who is out" if is_out else "who is no admin"
        if (is_out or settings.ssh in ("admins", "none")) and _has_session(host, user):
            yield (
                Severity.DEGRADED,
                Finding(
                    f"{user.name}, {status}, has a session outside the hub",
                    fix=f"sudo loginctl terminate-user {user.name}",
                ),
            )
        if (is_out or not settings.user_units) and host.info(Paths.linger / user.name):
            yield (
                Severity.DEGRADED,
                Finding(
                    f"{user.name}, {status}, lingers: systemd starts programs of theirs at boot",
                    where=Place(str(Paths.linger / user.name)),
                    fix=f"sudo loginctl disable-linger {user.name}",
                ),
            )
        yield from _check_jobs(host, user, status)


def _has_session(host: HostReader, user: UserInfo) -> bool:
    return bool(host.query(["loginctl", "show-user", user.name, "-P", "Sessions"]).out.strip())


def _check_jobs(host: HostReader, user: UserInfo, status: str) -> Iterator[Result]:
    crontab = Paths.crontabs / user.name
    if host.info(crontab) is not None:
        yield (
            Severity.DEGRADED,
            Finding(
                f"{user.name}, {status}, has entries of cron, which run without limits",
                where=Place(str(crontab)),
                fix=f"look at them: sudo crontab -l -u {user.name}; "
                f"remove them: sudo crontab -r -u {user.name}",
            ),
        )
    jobs = [
        name
        for name in host.listdir(Paths.at_jobs)
        if (info := host.info(Paths.at_jobs / name)) is not None
        and info.kind == "file"
        and info.owner == user.name
    ]
    if jobs:
        yield (
            Severity.DEGRADED,
            Finding(
                f"{user.name}, {status}, has jobs of at, which run without limits",
                where=Place(str(Paths.at_jobs / jobs[0])),
                fix="list them: sudo atq; remove one: sudo atrm NUMBER",
            ),
        )


def _check_traces(subject: CheckedMachine) -> Iterator[Result]:
    """Report what former admins and removed users may have left."""
    if subject.config is None or subject.facts is None or not subject.is_installed:
        return
    host = subject.host
    outsiders = {user.name for user in subject.facts.of(LoginFacts).users}
    home_root = subject.config.users.home_root
    for what, findings in (
        ("setuid programs", find_foreign_setuid(host)),
        ("programs with capabilities", find_foreign_capabilities(host)),
        ("preloaded libraries", find_preloaded(host)),
        ("programs that users can change", find_programs_of_users(host, home_root)),
        ("keys", find_keys_of_the_removed(host, outsiders)),
        ("ways to become root", find_further_roots(host, outsiders)),
    ):
        for finding in limit(findings, what):
            yield Severity.DEGRADED, finding
    # An admin's own timers are among these, so a hub with them is fine.
    for finding in limit(find_new_root_files(host, subject.paths), "files of root"):
        yield Severity.FINE, finding


CHECKS = (
    Check("SSH", _check_ssh, is_quick=False),
    Check("sessions outside the hub", _check_sessions, is_quick=False),
    Check("traces of former admins", _check_traces, is_quick=False),
)
