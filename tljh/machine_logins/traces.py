"""What a former admin or a removed user may have left on the machine, for `tljh doctor`.

Each look knows what is normal: files of Debian packages, units of tljh, keys of current admins. So
a fresh machine, a cloud image's included, has no finding.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from shlex import quote

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.paths import Paths
from tljh.host.accounts import FIRST_USER_UID, find_managed_accounts, is_expired
from tljh.host.interface import HostReader
from tljh.machine_logins.authorized_keys import AUTHORIZED_KEYS, read_keys

SEARCH_TIMEOUT_S = 120.0
LOCAL_FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "overlay", "f2fs")
# Images of containers and snaps have their own setuid programs; they do not run in the machine.
IMAGES = (
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/lib/containerd",
    "/snap",
    "/var/lib/snapd",
)
MOST_NAMED = 10

_CRON = (Path("/etc/crontab"), Paths.crontabs / "root")
_CRON_DIRECTORIES = tuple(
    Path(f"/etc/cron.{name}") for name in ("d", "hourly", "daily", "weekly", "monthly")
)
_PATH = re.compile(r"(?<![\w/.])/[\w./@+-]+")


def find_foreign_setuid(host: HostReader) -> Iterator[Finding]:
    """Report setuid and setgid programs that are of no Debian package."""
    roots = host.query(
        ["findmnt", "-rnlo", "TARGET", "-t", ",".join(LOCAL_FILE_SYSTEMS)]
    ).out.split()
    pruned = [part for path in IMAGES for part in ("-path", path, "-prune", "-o")]
    command = ["find", *(roots or ["/"]), "-xdev", *pruned]
    command += ["-type", "f", "-perm", "/6000", "-printf", r"%M %u %p\n"]
    try:
        programs = host.query(command, timeout_s=SEARCH_TIMEOUT_S).out.splitlines()
    except TljhError:
        yield Finding(
            "the search for setuid programs was not finished",
            why=f"it took longer than {SEARCH_TIMEOUT_S:.0f} s",
            fix="search by hand: sudo find / -xdev -type f -perm /6000 -ls",
        )
        return
    for line in foreign_programs(programs, _list_packaged(host, programs))[:MOST_NAMED]:
        mode, owner, path = line.split(" ", 2)
        kind = "setuid" if "s" in mode[3].lower() else "setgid"
        yield Finding(
            f"{path} is a {kind} program of {owner}, and of no Debian package",
            where=Place(path),
            why="who starts it acts with the owner's or the group's rights",
            fix=f"if you did not install it: sudo chmod ug-s {quote(path)}, and look at what it is",
        )


def foreign_programs(lines: Sequence[str], packaged: Collection[str]) -> list[str]:
    """Return the lines `MODE OWNER PATH` of programs that no package has."""
    return [line for line in dict.fromkeys(lines) if line.split(" ", 2)[2] not in packaged]


def _list_packaged(host: HostReader, lines: Sequence[str]) -> set[str]:
    """Return which of the programs are files of packages, by their paths as they were found."""
    names: dict[str, str] = {}
    for line in lines:
        path = line.split(" ", 2)[2]
        # A package may name /bin/su what is found as /usr/bin/su.
        names |= dict.fromkeys((path, path.removeprefix("/usr"), f"/usr{path}"), path)
    if not names:
        return set()
    answer = host.query(["dpkg-query", "-S", *sorted(names)])
    listed = {line.partition(": ")[2] for line in answer.out.splitlines()}
    return {path for name, path in names.items() if name in listed}


def find_programs_of_users(host: HostReader, home_root: str) -> Iterator[Finding]:
    """Report root's units and cron entries that run what a user can change."""
    for path in _list_root_jobs(host):
        data = host.read(path)
        if data is None:
            continue
        for place in _find_users_paths(host, data.decode(errors="replace"), home_root):
            yield Finding(
                f"{path} runs {place} as root, which a user can change",
                where=Place(str(path)),
                why="a former admin may have left it",
                fix=f"if it is not yours: sudo rm {quote(str(path))}; "
                "else move the program to a place that is root's, such as /usr/local/sbin",
            )


def _list_root_jobs(host: HostReader) -> Iterator[Path]:
    yield from _CRON
    for directory in (*_CRON_DIRECTORIES, Paths.units_dir):
        for name in host.listdir(directory):
            info = host.info(directory / name)
            if info is None or name == ".placeholder":
                continue
            if info.kind == "file":
                yield directory / name
            elif info.kind == "directory" and name.endswith(".d"):
                yield from (directory / name / inner for inner in host.listdir(directory / name))


def _find_users_paths(host: HostReader, text: str, home_root: str) -> Iterator[str]:
    lines = [
        line
        for line in text.splitlines()
        if not line.lstrip().startswith(("#", ";"))
        # In a unit only what it executes counts: ReadWritePaths=/home is no program.
        and (not re.match(r"\s*[A-Z]\w*=", line) or re.match(r"\s*Exec\w+=", line))
    ]
    for path in dict.fromkeys(_PATH.findall("\n".join(lines))):
        is_home = Path(path).is_relative_to(home_root) and path != home_root
        info = host.info(Path(path), follow=True)
        is_program = info is not None and info.kind == "file"
        user = host.user(info.owner) if is_program and info else None
        if is_program and (is_home or (user is not None and user.uid >= FIRST_USER_UID)):
            yield path


def find_keys_of_the_removed(host: HostReader, outsiders: Collection[str]) -> Iterator[Finding]:
    """Report SSH keys of users who are out, and keys of users who are no admins at root's accounts.

    `outsiders` are the accounts of users who are no admins, those of removed users included.
    """
    keys: dict[str, str] = {}
    for user in find_managed_accounts(host):
        own_keys = {key.blob for key in read_keys(host, user)}
        if own_keys and is_expired(host, user.name):
            place = Path(user.home) / AUTHORIZED_KEYS
            yield Finding(
                f"{user.name}, who is out, has keys for SSH",
                where=Place(str(place)),
                why="the account is locked, so they open nothing now",
                fix=f"sudo rm {quote(str(place))}",
            )
        if user.name in outsiders:
            keys |= dict.fromkeys(own_keys, user.name)
    for account in ("root", *_list_sudoers(host)):
        user_info = host.user(account)
        if user_info is None or account in outsiders:
            continue
        for key in {key.blob for key in read_keys(host, user_info)} & keys.keys():
            place = Path(user_info.home) / AUTHORIZED_KEYS
            yield Finding(
                f"a key of {keys[key]}, who is no admin, opens the account {account}",
                where=Place(str(place)),
                fix=f"remove the line with it: sudo nano {quote(str(place))}",
            )


def _list_sudoers(host: HostReader) -> list[str]:
    groups = (host.group(name) for name in ("sudo", "wheel"))
    return sorted({name for group in groups if group for name in group.members})


def find_further_roots(host: HostReader, outsiders: Collection[str]) -> Iterator[Finding]:
    """Report accounts that are root by their uid, and rules of sudo for users who are no admins."""
    for user in host.all_users():
        if user.uid == 0 and user.name != "root":
            yield Finding(
                f"the account {user.name} is root: its uid is 0",
                where=Place("/etc/passwd"),
                fix=f"if you did not make it: sudo userdel -f {quote(user.name)}",
            )
    directory = Paths.sudoers.parent
    for path in (Path("/etc/sudoers"), *(directory / name for name in host.listdir(directory))):
        text = (host.read(path) or b"").decode(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            name = line.split("=", 1)[0].split(" ", 1)[0].strip()
            if name in outsiders:
                yield Finding(
                    f"{name}, who is no admin, is named in a rule of sudo",
                    where=Place(str(path), number),
                    fix=f"remove the line: sudo visudo -f {quote(str(path))}",
                )
