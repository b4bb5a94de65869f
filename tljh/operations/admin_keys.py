"""SSH keys of admins, and whether an admin can get into the machine by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.host.accounts import ADMINS_GROUP, is_expired
from tljh.host.interface import Host, HostReader, UserInfo
from tljh.machine_logins.authorized_keys import (
    AuthorizedKeys,
    SshKey,
    parse_keys,
    parse_one_key,
    read_keys,
    read_text_as_user,
)
from tljh.machine_logins.facts import SSHD
from tljh.operations.user_changes import HubUsers, change_users, read_users

ROOT_GROUPS = ("sudo", "wheel", ADMINS_GROUP)


@dataclass(frozen=True)
class SshAccess:
    """Who may become root and gets in by key; None for what sshd did not answer."""

    has_server: bool
    with_key: Sequence[str] = ()
    accepts_passwords: bool | None = None


@dataclass(frozen=True)
class AdminKeys:
    """An admin, the account, and its keys."""

    login: str
    account: str
    keys: Sequence[SshKey]


@dataclass(frozen=True)
class KeyChange:
    """A key that was added or removed, and what an admin has to know."""

    login: str
    key: SshKey
    is_changed: bool
    notes: Sequence[str] = ()


def read_ssh_access(host: HostReader) -> SshAccess:
    """Return who gets in by key; accounts that are locked or refused by sshd are left out."""
    if host.info(SSHD, follow=True) is None:
        return SshAccess(has_server=False)
    groups = (host.group(name) for name in ROOT_GROUPS)
    members = sorted({name for group in groups if group for name in group.members})
    names = [
        name for name in ("root", *members) if _has_key(host, name) and not is_expired(host, name)
    ]
    answers = {name: ask_sshd(host, name) for name in names or ["root"]}
    if any(answer is None for answer in answers.values()):
        return SshAccess(True, names, None)
    is_open = {name: answer for name, answer in answers.items() if answer and _lets_in(answer)}
    passwords = any("passwordauthentication yes" in (each or []) for each in answers.values())
    return SshAccess(True, [name for name in names if name in is_open], passwords)


def _has_key(host: HostReader, name: str) -> bool:
    user = host.user(name)
    return user is not None and bool(read_keys(host, user))


def ask_sshd(host: HostReader, account: str) -> list[str] | None:
    """Return sshd's settings for a login as `account`, in lower case; None without an answer."""
    # Documentation addresses: a login from elsewhere.
    connection = f"user={account},host=client.example,addr=192.0.2.1"
    answer = host.query([str(SSHD), "-T", "-C", connection])
    return answer.out.lower().splitlines() if answer.ok else None


def _lets_in(settings: Sequence[str]) -> bool:
    return "denyusers *" not in settings and "pubkeyauthentication no" not in settings


def list_admin_keys(host: Host, paths: Paths) -> list[AdminKeys]:
    """Return the keys of each admin of the hub who has an account."""
    users = read_users(host, paths)
    admins = [user for user in users.directory.users.values() if user.is_admin and user.account]
    all_keys = []
    for admin in admins:
        account = host.user(str(admin.account))
        keys = read_keys(host, account) if account else []
        all_keys.append(AdminKeys(admin.name, str(admin.account), keys))
    return all_keys


def add_key(host: Host, paths: Paths, name: str, text: str, progress: Progress) -> KeyChange:
    """Let an admin in by a public key. Raises TljhError for a user who is no admin, or no key."""
    key = parse_one_key(text)
    users = read_users(host, paths)
    login, account = _find_admin(users, name)
    before = read_text_as_user(host, account)
    is_new = key.blob not in {each.blob for each in parse_keys(before)}
    if is_new:
        if before and not before.endswith("\n"):
            before += "\n"
        _apply(users, account, f"{before}{key.line}\n", f"admin ssh-key add {login}", progress)
    return KeyChange(login, key, is_new, list(_find_obstacles(host, account)))


def remove_key(
    host: Host, paths: Paths, name: str, pattern: str, progress: Progress, *, yes: bool
) -> KeyChange:
    """Remove a key by fingerprint or comment. Raises TljhError if it is the last way in."""
    users = read_users(host, paths)
    user = users.named(name)
    account = host.user(user.account or "")
    if account is None:
        raise TljhError(f"{user.name} has no account on this machine")
    text = read_text_as_user(host, account)
    matches = [key for key in parse_keys(text) if _is_meant(key, pattern)]
    if len(matches) != 1:
        raise TljhError(
            f"{len(matches)} keys of {user.name} match {pattern}",
            fix="list them: sudo tljh admin ssh-key list",
            exit_code=Exit.USAGE,
        )
    [key] = matches
    remaining = [line for line in text.splitlines() if line.strip() != key.line]
    others = [each for each in read_ssh_access(host).with_key if each != account.name]
    if not others and not parse_keys("\n".join(remaining)) and not yes:
        raise TljhError(
            "this is the last key by which an admin gets into the machine",
            fix="add another one first, or use --yes if there is a console",
        )
    new_text = "".join(f"{line}\n" for line in remaining)
    _apply(users, account, new_text, f"admin ssh-key remove {user.name}", progress)
    return KeyChange(user.name, key, True)


def _is_meant(key: SshKey, text: str) -> bool:
    fingerprint = key.fingerprint.removeprefix("SHA256:")
    prefix = text.removeprefix("SHA256:")
    return text == key.comment or (len(prefix) >= 6 and fingerprint.startswith(prefix))


def _find_admin(users: HubUsers, name: str) -> tuple[str, UserInfo]:
    user = users.named(name)
    if not user.is_admin:
        raise TljhError(
            f"{user.name} is no admin of the hub",
            why="users put their keys into ~/.ssh/authorized_keys by themselves, where users.ssh "
            "lets them in",
            fix=f"sudo tljh user add --admin {quote(user.name)}",
        )
    account = users.host.user(user.account or "")
    if account is None or users.host.info(Path(account.home)) is None:
        raise TljhError(
            f"{user.name} has no account with a home on this machine yet",
            fix="sudo tljh-config reload",
        )
    return user.name, account


def _apply(users: HubUsers, account: UserInfo, text: str, command: str, progress: Progress) -> None:
    resource = AuthorizedKeys(account.name, text)
    change_users(users, command, lambda config: config, progress, more=[resource])


def _find_obstacles(host: HostReader, account: UserInfo) -> list[str]:
    """Return why the key does not let the admin in, or leaves another way open."""
    if host.info(SSHD, follow=True) is None:
        return ["no SSH server is installed: sudo apt-get install openssh-server"]
    settings = ask_sshd(host, account.name)
    if settings is None:
        return ["what sshd does could not be asked; see: sudo sshd -T"]
    notes = []
    if is_expired(host, account.name):
        notes.append(f"{account.name} is locked, so it opens nothing")
    if "denyusers *" in settings:
        notes.append("users.ssh is none, which refuses admins, too")
    if "pubkeyauthentication no" in settings:
        notes.append("sshd takes no keys: PubkeyAuthentication is no")
    files = next((line for line in settings if line.startswith("authorizedkeysfile ")), "")
    if files and ".ssh/authorized_keys" not in files:
        notes.append(f"sshd looks for keys elsewhere: {files.partition(' ')[2]}")
    if "passwordauthentication yes" in settings:
        notes.append(f"passwords are accepted, too; {CLOSE_PASSWORDS}")
    return notes


CLOSE_PASSWORDS = (
    "close them: echo 'PasswordAuthentication no' | sudo tee "
    "/etc/ssh/sshd_config.d/10-keys.conf && sudo systemctl reload ssh"
)
