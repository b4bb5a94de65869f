"""Linux accounts of the hub's users: one idempotent call, used at spawn and by reload."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from tljh.base.account_names import PREFIX, unit_name
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.interface import Host, HostReader, UserInfo

USERS_GROUP = "jupyterhub-users"
ADMINS_GROUP = "jupyterhub-admins"

# The comment field of an account that tljh created: this and the login name. See `_check_owner`.
MARK = "JupyterHub user "

LOCK_TIMEOUT_S = 60

# Accounts below this user id belong to the system (UID_MIN of Debian and Ubuntu).
FIRST_USER_UID = 1000

ADD_USER_ATTEMPTS = 5

# Debian and Ubuntu give uids up to here to users (UID_MAX).
LAST_USER_UID = 60000


@dataclass(frozen=True)
class Account:
    """The desired state of an account. Missing `extra_groups` are created.

    With `may_create` false the account must exist, and tljh does not create its home either.
    """

    name: str
    login: str
    is_admin: bool = False
    extra_groups: tuple[str, ...] = ()
    home_root: Path = Paths.homes
    skeleton: Path | None = None
    may_create: bool = True


def mark_of(login: str) -> str:
    """Return the comment field of an account; characters that passwd cannot hold are quoted."""
    return MARK + quote(login, safe="@.-_+ ")


def login_of(user: UserInfo) -> str | None:
    """Return the login name that an account was created for; None if it lacks our mark."""
    if not user.comment.startswith(MARK):
        return None
    return unquote(user.comment.removeprefix(MARK))


def ensure_account(host: Host, account: Account) -> bool:
    """Create the account if missing and set its groups; return whether it was created.

    Safe to call for many users at the same time. Raises TljhError if the account belongs to
    another user or to the system, or if it cannot be created.
    """
    with host.lock(Paths.accounts_lock, timeout_s=LOCK_TIMEOUT_S):
        is_new = host.user(account.name) is None
        if is_new and not account.may_create:
            raise TljhError(
                f"{account.name} has no account on this machine",
                why="users.accounts is existing, so tljh creates none",
                fix=f"sudo useradd --create-home {account.name}",
            )
        if is_new:
            _create(host, account)
        else:
            _check_owner(host, account)
            _restore_home(host, account)
        _join_groups(host, account)
    return is_new


def account_of_server(host: Host, account: Account) -> bool:
    """Call `ensure_account` for a user whose server starts, and refuse a locked account.

    Raises TljhError if the account has expired.
    """
    is_new = ensure_account(host, account)
    # systemd starts a unit with `User=` of an expired account, too. Only ssh and PAM check it, so
    # the check has to be here.
    if is_expired(host, account.name):
        raise TljhError(
            "your account is locked",
            why=f"{account.login} was removed or banned, or {account.name} has expired",
            fix=f"sudo tljh user add {account.login}",
        )
    return is_new


def owners_without_account(host: HostReader, home_root: Path) -> dict[str, int]:
    """Return uid by name of each home in `home_root` whose owner has no account here.

    Such homes come from another machine: a disk that was attached, NFS, a restored backup.
    """
    owners = {}
    for name in host.listdir(home_root):
        info = host.info(home_root / name)
        # The owner is a name where the machine knows one, else a number.
        if info is not None and info.kind == "directory" and info.owner.isdigit():
            owners[name] = int(info.owner)
    return owners


def _uid_for(host: HostReader, account: Account) -> int | None:
    """Return the uid that a new account has to get; None where any free one is right.

    The home that bears the account's name may be there already: the account then gets the uid of
    its owner. No other account may get a uid that owns a home: its user would own the files.
    Raises TljhError for a home that belongs to another account.
    """
    home = account.home_root / account.name
    info = host.info(home)
    owners = owners_without_account(host, account.home_root)
    if account.name in owners and owners[account.name] >= FIRST_USER_UID:
        return owners[account.name]
    if info is not None and info.owner not in ("root", account.name):
        raise TljhError(
            f"{home} belongs to {info.owner}, so {account.login} cannot have it",
            why="the home came from another machine, or was moved by hand",
            fix=f"if it is {account.login}'s: sudo chown -R root: {home}; "
            f"else move it away: sudo mv {home} {home}.old",
        )
    reserved = {uid for uid in owners.values() if uid >= FIRST_USER_UID}
    if not reserved:
        return None
    lines = host.query(["getent", "passwd"]).out.splitlines()
    uids = {int(fields[2]) for line in lines if len(fields := line.split(":")) > 2}
    taken = {uid for uid in uids if uid <= LAST_USER_UID}
    return max({FIRST_USER_UID - 1, *reserved, *taken}) + 1


def _create(host: Host, account: Account) -> None:
    home = account.home_root / account.name
    uid = _uid_for(host, account)
    if host.info(account.home_root) is None:
        host.mkdir(account.home_root, mode=0o755)
    for attempt in range(1, ADD_USER_ATTEMPTS + 1):
        try:
            host.add_user(
                account.name,
                home=home,
                comment=mark_of(account.login),
                skeleton=account.skeleton,
                uid=uid,
            )
            break
        except TljhError:
            # vipw or a package's installation may hold the lock of /etc/passwd for a moment.
            if host.user(account.name) is not None:
                break
            if attempt == ADD_USER_ATTEMPTS:
                raise
            host.pause(0.5 * attempt)
    host.chmod(home, mode=0o700, owner=account.name, group=account.name)


def _check_owner(host: Host, account: Account) -> None:
    user = host.user(account.name)
    assert user is not None
    if user.uid < FIRST_USER_UID:
        raise TljhError(
            f"{account.name} is an account of the system, so {account.login} cannot have it",
            fix="choose another login name",
        )
    # Without a mark the account is TLJH's or was created by hand, and may be used.
    if user.comment.startswith(MARK) and user.comment != mark_of(account.login):
        raise TljhError(
            f"{account.login} would get the account {account.name}, which is another user's",
            why=f"it was created for {user.comment.removeprefix(MARK)}",
            fix="choose another login name",
        )


def _restore_home(host: Host, account: Account) -> None:
    """Create a missing home: that of a user who was removed with the home and added again."""
    user = host.user(account.name)
    if user is None or not account.may_create or host.info(Path(user.home)) is not None:
        return
    skeleton = [str(account.skeleton)] if account.skeleton else []
    host.run(["mkhomedir_helper", account.name, "0077", *skeleton], timeout_s=60)
    # mkhomedir_helper belongs to PAM and may be missing; without it the home is empty.
    if host.info(Path(user.home)) is None:
        host.mkdir(Path(user.home), mode=0o700, owner=account.name, group=account.name)


def _join_groups(host: Host, account: Account) -> None:
    for group in (USERS_GROUP, *account.extra_groups):
        if host.group(group) is None:
            host.add_group(group)
        _join(host, account.name, group)
    if account.is_admin:
        _join(host, account.name, ADMINS_GROUP)
    else:
        host.remove_from_group(account.name, ADMINS_GROUP)


def _join(host: Host, user: str, group: str) -> None:
    info = host.group(group)
    if info is None or user not in info.members:
        host.add_to_group(user, group)


def is_managed(user: UserInfo) -> bool:
    """Return whether an account is a hub user's: it has our mark or a name that TLJH gave it."""
    if user.uid < FIRST_USER_UID:
        return False
    return user.comment.startswith(MARK) or user.name.startswith(PREFIX)


def managed_accounts(host: HostReader) -> list[UserInfo]:
    """Return the accounts of hub users, including removed users."""
    return [user for user in host.all_users() if is_managed(user)]


def is_expired(host: HostReader, name: str) -> bool:
    """Return whether an account is locked: `Host.lock_user` lets it expire on day 1 of 1970."""
    for line in (host.read(Path("/etc/shadow")) or b"").decode(errors="replace").splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) > 7:
            return fields[7].isdigit() and int(fields[7]) <= 1
    return False


def running_units(host: HostReader, account: str) -> list[str]:
    """Return the units of a user's servers that are not inactive, named servers included."""
    default_unit = unit_name(account)
    named_prefix = unit_name(account, "-")[: -len("-.service")]
    return [
        unit.name
        for unit in host.units("jupyter-*.service")
        if (unit.name == default_unit or unit.name.startswith(named_prefix))
        and unit.active != "inactive"
    ]


def end_processes(host: Host, name: str) -> None:
    """End an account's processes outside its servers: ssh sessions, terminals, jobs."""
    user = host.user(name)
    if user is None:
        return
    # Ending a session also ends what was started with sudo in it, which has another user id.
    # Without logind this fails, and only pkill remains.
    # A session that does not end in time must not prevent the kill.
    with contextlib.suppress(TljhError):
        host.run(["loginctl", "terminate-user", name], timeout_s=30)
    host.run(["pkill", "-KILL", "--uid", str(user.uid)], timeout_s=30)
