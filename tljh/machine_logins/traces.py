"""What a former admin or a removed user may have left on the machine, for `tljh doctor`.

Each look knows what is normal: files of Debian packages, units of tljh, keys of current admins. So
a fresh machine, a cloud image's included, has no finding.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from shlex import quote

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.paths import Paths
from tljh.engine.manifest import read_manifest
from tljh.host.accounts import FIRST_USER_UID, find_managed_accounts, is_expired
from tljh.host.interface import HostReader
from tljh.machine_logins.authorized_keys import AUTHORIZED_KEYS, read_keys
from tljh.machine_logins.session_limits import list_session_limits

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

PRELOAD = Path("/etc/ld.so.preload")

# The kernel's own, containers' and snaps' files.
_NO_PROGRAMS = ("/proc/", "/sys/", *(f"{path}/" for path in IMAGES))

_CRON = (Path("/etc/crontab"), Paths.crontabs / "root")
_CRON_DIRECTORIES = tuple(
    Path(f"/etc/cron.{name}") for name in ("d", "hourly", "daily", "weekly", "monthly")
)
# Where a file decides what root runs, or who becomes root.
ROOT_PLACES = (
    Paths.units_dir,
    Path("/usr/local/lib/systemd"),
    Path("/etc/crontab"),
    *_CRON_DIRECTORIES,
    Paths.crontabs / "root",
    Paths.sudoers.parent,
    Path("/etc/rc.local"),
    Paths.profile.parent,
    Path("/etc/udev/rules.d"),
    Paths.apt_hook.parent,
    Path("/etc/ld.so.conf.d"),
    Path("/etc/pam.d"),
    Path("/root/.ssh/authorized_keys"),
    Path("/root/.ssh/authorized_keys2"),
)
# `pam-auth-update` writes these files of PAM, which are of no package.
_GENERATED = "/etc/pam.d/common-"
_PATH = re.compile(r"(?<![\w/.])/[\w./@+-]+")


def find_foreign_setuid(host: HostReader) -> Iterator[Finding]:
    """Report setuid and setgid programs that are of no Debian package."""
    roots = host.query(
        ["findmnt", "-rnlo", "TARGET", "-t", ",".join(LOCAL_FILE_SYSTEMS)]
    ).out.split()
    pruned = [part for path in IMAGES for part in ("-path", path, "-prune", "-o")]
    command = ["find", *(roots or ["/"]), "-xdev", *pruned]
    command += ["-type", "f", "-perm", "/6000", "-printf", r"%M %u %p\0"]
    try:
        programs = host.query(command, timeout_s=SEARCH_TIMEOUT_S).out.split("\0")
    except TljhError:
        yield Finding(
            "the search for setuid programs was not finished",
            why=f"it took longer than {SEARCH_TIMEOUT_S:.0f} s",
            fix="search by hand: sudo find / -xdev -type f -perm /6000 -ls",
        )
        return
    # A name may have line breaks in it.
    programs = [line for line in programs if line]
    paths = [line.split(" ", 2)[2] for line in programs]
    foreign = foreign_programs(programs, _list_packaged(host, paths))
    # A user can make any number of such programs of the own account, but none of root.
    for line in sorted(foreign, key=lambda line: line.split(" ", 2)[1] != "root"):
        mode, owner, path = line.split(" ", 2)
        kind = "setuid" if "s" in mode[3].lower() else "setgid"
        yield Finding(
            f"{path} is a {kind} program of {owner}, and of no Debian package",
            where=Place(path),
            why="who starts it acts with the owner's or the group's rights",
            fix=f"if you did not install it: sudo chmod ug-s {quote(path)}, and look at what it is",
        )


def find_foreign_capabilities(host: HostReader) -> Iterator[Finding]:
    """Report programs with capabilities of the kernel that are of no Debian package."""
    try:
        lines = host.query(["getcap", "-r", "/"], timeout_s=SEARCH_TIMEOUT_S).out.splitlines()
    except TljhError:
        yield Finding(
            "the search for programs with capabilities was not finished",
            why=f"it took longer than {SEARCH_TIMEOUT_S:.0f} s",
            fix="search by hand: sudo getcap -r /",
        )
        return
    # `/usr/bin/ping cap_net_raw=ep`; older ones print ` = ` before the capabilities.
    matches = filter(None, (re.match(r"(/.*?)(?: =)? (cap_\S+|[=+]\S+)$", line) for line in lines))
    programs = {match[1]: match[2] for match in matches if not match[1].startswith(_NO_PROGRAMS)}
    packaged = _list_packaged(host, list(programs))
    for path, capabilities in programs.items():
        if path not in packaged:
            yield Finding(
                f"{path} has capabilities ({capabilities}), and is of no Debian package",
                where=Place(path),
                why="who starts it has a part of root's rights",
                fix=f"if you did not set them: sudo setcap -r {quote(path)}, "
                "and look at what it is",
            )


def find_preloaded(host: HostReader) -> Iterator[Finding]:
    """Report libraries that every program loads, those of root included."""
    libraries = (host.read(PRELOAD) or b"").decode(errors="replace").split()
    if libraries and str(PRELOAD) not in _list_packaged(host, [str(PRELOAD)]):
        yield Finding(
            f"every program of the machine loads {', '.join(libraries[:MOST_NAMED])}",
            where=Place(str(PRELOAD)),
            why="that runs in all programs of root, too",
            fix=f"if you did not set it up: sudo rm {PRELOAD}",
        )


def find_new_root_files(host: HostReader, paths: Paths) -> Iterator[Finding]:
    """Report what decides what root runs, was written after the hub, and is of no package.

    The time is that of the last change of the file's entry, which nobody sets.
    """
    if host.info(paths.instance) is None:
        return
    places = [str(place) for place in ROOT_PLACES if host.info(place) is not None]
    command = ["find", *places, "-xdev", "-type", "f", "-cnewer", str(paths.instance)]
    names = [name for name in host.query([*command, "-print0"]).out.split("\0") if name]
    ours = {change.name for change in read_manifest(host, paths.manifest)}
    ours |= {str(path) for path in list_session_limits(host, paths)}
    packaged = _list_packaged(host, names)
    for name in sorted({*names} - packaged - ours):
        if ".placeholder" not in name and not name.startswith(_GENERATED):
            yield Finding(
                f"{name} is newer than the hub, of no Debian package, and decides what root does",
                where=Place(name),
                why="a former admin may have left it",
                fix=f"look at it: sudo less {quote(name)}; remove it if nobody here needs it",
            )


def limit(findings: Iterable[Finding], subject: str) -> Iterator[Finding]:
    """Yield the first findings, and the number of the others."""
    listed = list(findings)
    yield from listed[:MOST_NAMED]
    if len(listed) > MOST_NAMED:
        yield Finding(
            f"{len(listed) - MOST_NAMED} more {subject} are not listed",
            fix="deal with those above, then run this again: sudo tljh doctor",
        )


def foreign_programs(lines: Sequence[str], packaged: Collection[str]) -> list[str]:
    """Return the lines `MODE OWNER PATH` of programs that no package has."""
    return [line for line in dict.fromkeys(lines) if line.split(" ", 2)[2] not in packaged]


def _list_packaged(host: HostReader, paths: Sequence[str]) -> set[str]:
    """Return which of the files are of packages, by their paths as they were found."""
    names: dict[str, str] = {}
    for path in paths:
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
            name = _find_outsider(host, line, outsiders)
            if name is not None:
                yield Finding(
                    f"{name}, who is no admin, is named in a rule of sudo",
                    where=Place(str(path), number),
                    fix=f"remove the line: sudo visudo -f {quote(str(path))}",
                )


def _find_outsider(host: HostReader, line: str, outsiders: Collection[str]) -> str | None:
    """Return the user that a line of sudo's rules names: by name, id, alias or group."""
    if line.lstrip().startswith(("Defaults", "Cmnd_Alias", "Host_Alias", "Runas_Alias")):
        return None
    # In `User_Alias NAME = a, b`, the users are after the sign; in a rule, before the hosts.
    is_alias = line.lstrip().startswith("User_Alias")
    left, _, right = line.partition("=")
    for word in re.split(r"[\s,]+", right if is_alias else left.strip()):
        if word in outsiders:
            return word
        if match := re.fullmatch(r"\\?#(\d+)", word):
            owner = next((u.name for u in host.all_users() if u.uid == int(match[1])), None)
            if owner in outsiders:
                return owner
        group = host.group(word[1:]) if word.startswith("%") else None
        members = sorted(set(group.members if group else ()) & set(outsiders))
        if members:
            return members[0]
    return None
