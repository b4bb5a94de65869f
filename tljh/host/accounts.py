"""Linux accounts of the hub's users: one idempotent call, used at spawn and by reload."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from tljh.base.account_names import (
    PREFIX,
    is_acceptable,
    list_unit_names,
    make_account_name,
    make_unit_name,
    shorten,
)
from tljh.base.errors import Finding, Place, TljhError
from tljh.base.paths import Paths
from tljh.base.well_known import SERVER_UNITS
from tljh.host.home_snapshots import find_uids
from tljh.host.interface import Host, HostReader, UserInfo

USERS_GROUP = "jupyterhub-users"
ADMINS_GROUP = "jupyterhub-admins"

# The comment field of an account that tljh created: this and the login name. See `_check_owner`.
MARK = "JupyterHub user "

LOCK_TIMEOUT_S = 60

# Accounts below this user id belong to the system (UID_MIN of Debian and Ubuntu).
FIRST_USER_UID = 1000

ADD_USER_ATTEMPTS = 5

# What a new home has where users.skeleton names no directory.
SKELETON = Path("/etc/skel")

# How long a start of a server waits for a home that moves.
MOVE_WAIT_S = 20.0

# Longer than systemd waits before it kills a server (singleuser.sandbox.STOP_TIMEOUT_S).
UNIT_TIMEOUT_S = 30.0

# Debian and Ubuntu give uids up to here to users (UID_MAX).
LAST_USER_UID = 60000


@dataclass(frozen=True)
class Account:
    """The desired state of an account. Missing `extra_groups` are created.

    With `may_create` false the account must exist, and tljh does not create its home either.
    `home_marker` is a file on the disk with the homes.
    """

    name: str
    login: str
    is_admin: bool = False
    extra_groups: tuple[str, ...] = ()
    home_root: Path = Paths.homes
    skeleton: Path | None = None
    may_create: bool = True
    home_marker: Path | None = None


def make_mark(login: str) -> str:
    """Return the comment field of an account, which says that tljh made it for `login`.

    Characters that passwd cannot hold are quoted.
    """
    return MARK + quote(login, safe="@.-_+ ")


def parse_login(user: UserInfo) -> str | None:
    """Return the login name that an account was created for; None if it lacks our mark."""
    if not user.comment.startswith(MARK):
        return None
    return unquote(user.comment.removeprefix(MARK))


def get_login(user: UserInfo) -> str:
    """Return the login name of a managed account, also where TLJH created it.

    Such an account has no mark. Its name has the login in it, unless that was long.
    """
    return parse_login(user) or user.name.removeprefix(PREFIX)


def find_account_name(host: HostReader, login: str) -> str | None:
    """Return the account of a login name, which need not exist; None for an impossible name.

    The Littlest JupyterHub named some accounts otherwise. Such an account counts if it has the
    login name in its mark, which a takeover writes.
    """
    name = make_account_name(login) if is_acceptable(login) else None
    if name is not None and host.user(name) is not None:
        return name
    user = host.user(shorten(PREFIX + login))
    return user.name if user is not None and user.comment == make_mark(login) else name


def ensure_account(host: Host, account: Account) -> bool:
    """Create the account if missing and set its groups; return whether it was created.

    Safe to call for many users at the same time. Raises TljhError if the account belongs to
    another user or to the system, or if it cannot be created.
    """
    _require_disk(host, account)
    with host.lock(Paths.accounts_lock, timeout_s=LOCK_TIMEOUT_S):
        is_new = host.user(account.name) is None
        if is_new and not account.may_create:
            raise TljhError(
                f"{account.name} has no account on this machine",
                why="users.accounts is existing, so tljh creates none",
                fix=f"sudo useradd --create-home {quote(account.name)}",
            )
        if is_new:
            _create(host, account)
        else:
            _check_owner(host, account)
            _restore_home(host, account)
            _check_home(host, account)
        _join_groups(host, account)
    return is_new


def _require_disk(host: HostReader, account: Account) -> None:
    """Raise TljhError without the disk with the homes: an empty home would be made in its place."""
    if account.home_marker is not None and host.info(account.home_marker) is None:
        raise TljhError(
            "the disk with the home directories is not there",
            where=Place(str(account.home_marker.parent)),
            why=f"{account.home_marker} is missing, which is on it",
            fix="mount it: sudo mount -a; see /etc/fstab",
        )


def read_home_marker(host: HostReader, paths: Paths) -> Path | None:
    """Return the file that is there while the disk with the homes is; None before any move."""
    text = (host.read(paths.homes_marker) or b"").decode().strip()
    return Path(text) if text else None


def ensure_server_account(host: Host, account: Account) -> bool:
    """Create or update the account of a user whose server starts.

    Raises TljhError for a locked one, and for one whose home is being moved for long.
    """
    moving = Paths.moving_homes / account.name
    if host.info(moving) is not None:
        try:
            with host.lock(moving, timeout_s=MOVE_WAIT_S):
                pass
        except TljhError as error:
            raise TljhError(
                "your files are being moved to another disk",
                why="a large home takes some minutes",
                fix="start your server again in a few minutes",
            ) from error
    is_new = ensure_account(host, account)
    # systemd starts a unit with `User=` of an expired account, too. Only ssh and PAM check it, so
    # the check has to be here.
    if is_expired(host, account.name):
        raise TljhError(
            "your account is locked",
            why=f"{account.login} was removed or banned, or {account.name} has expired",
            fix=f"sudo tljh user add {quote(account.login)}",
        )
    return is_new


def list_home_roots(host: HostReader, home_root: Path) -> list[Path]:
    """Return the directories in which homes are: the configured one, /home, and those of accounts.

    `users.home_root` may have been another one before, and an admin's own accounts may be anywhere.
    """
    parents = (Path(user.home).parent for user in host.all_users() if user.uid >= FIRST_USER_UID)
    roots = dict.fromkeys((home_root, Paths.homes, *parents))
    return [root for root in roots if root.is_absolute() and root != root.parent]


def find_owners_without_account(host: HostReader, home_root: Path) -> dict[Path, int]:
    """Return the homes whose owner has no account here: uid by directory.

    Such homes come from another machine: a disk that was attached, NFS, a restored backup.
    """
    owners = {}
    for root in list_home_roots(host, home_root):
        for name in host.listdir(root):
            info = host.info(root / name)
            # The owner is a name where the machine knows one, else a number.
            if info is not None and info.kind == "directory" and info.owner.isdigit():
                owners[root / name] = int(info.owner)
    return owners


def _choose_uid(host: HostReader, account: Account) -> int | None:
    """Return the uid that a new account has to get; None where any free one is right.

    The home that bears the account's name may be there already: the account then gets the uid of
    its owner. No other account may get a uid that owns a home: its user would own the files.
    Raises TljhError for a home that belongs to another account.
    """
    home = account.home_root / account.name
    info = host.info(home)
    owners = find_owners_without_account(host, account.home_root)
    is_taken = info is not None and info.owner not in ("root", account.name)
    if info is not None and is_taken and owners.get(home, 0) < FIRST_USER_UID:
        raise TljhError(
            f"{home} belongs to {info.owner}, so {account.login} cannot have it",
            why="the home came from another machine, or was moved by hand",
            fix=format_home_fix(host, home, info.owner, account.login),
        )
    # The directory of homes comes first, then those where the home may have been before.
    own = [uid for path, uid in owners.items() if path.name == account.name]
    if own and own[0] >= FIRST_USER_UID:
        return own[0]
    reserved = (*owners.values(), *find_uids(host, list_home_roots(host, account.home_root)))
    has_foreign_homes = any(uid >= FIRST_USER_UID for uid in reserved)
    return _find_unused_uid(host, reserved) if has_foreign_homes else None


def _find_unused_uid(host: HostReader, reserved: Iterable[int]) -> int:
    """Return a uid above those of all accounts, and above the `reserved` ones.

    These own a home without an account, or one in a snapshot. Where the highest uid is taken, it
    is the first that is free.
    """
    uids = [*reserved, *(user.uid for user in host.all_users())]
    taken = {uid for uid in uids if FIRST_USER_UID <= uid <= LAST_USER_UID}
    highest = max({FIRST_USER_UID - 1, *taken})
    if highest < LAST_USER_UID:
        return highest + 1
    return next(uid for uid in range(FIRST_USER_UID, LAST_USER_UID + 2) if uid not in taken)


def format_home_fix(host: HostReader, home: Path, owner: str, login: str) -> str:
    """Return how a home without an account, which belongs to `owner`, goes to its user.

    The account gets the uid that owns the home when it is made, so that has to be an unused one.
    """
    reserved = (
        *find_owners_without_account(host, home.parent).values(),
        *find_uids(host, list_home_roots(host, home.parent)),
    )
    uid, quoted = _find_unused_uid(host, reserved), shlex.quote(str(home))
    return (
        f"if it is {login}'s: sudo chown -R --from={owner} {uid}:{uid} {quoted}; "
        f"else move it away: sudo mv {quoted} {quoted}.old"
    )


def _create(host: Host, account: Account) -> None:
    home = account.home_root / account.name
    uid = _choose_uid(host, account)
    if host.info(account.home_root) is None:
        host.mkdir(account.home_root, mode=0o755)
    for attempt in range(1, ADD_USER_ATTEMPTS + 1):
        try:
            host.add_user(
                account.name,
                home=home,
                comment=make_mark(account.login),
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
    if host.info(home) is None:
        _make_home(host, account, home)
    else:
        host.chmod(home, mode=0o700, owner=account.name, group=account.name)


def _make_home(host: Host, account: Account, home: Path) -> None:
    skeleton = account.skeleton or SKELETON
    try:
        host.make_home(home, owner=account.name, group=account.name, skeleton=skeleton)
    except OSError as error:
        raise TljhError(
            f"{home} could not be made from {skeleton}",
            why=f"{error.strerror}: {error.filename or home}",
            fix="a link on the way counts only where root alone can change it",
        ) from error


def _check_owner(host: Host, account: Account) -> None:
    user = host.user(account.name)
    assert user is not None
    if user.uid < FIRST_USER_UID:
        raise TljhError(
            f"{account.name} is an account of the system, so {account.login} cannot have it",
            fix="choose another login name",
        )
    # Without a mark the account is TLJH's or was created by hand, and may be used.
    if user.comment.startswith(MARK) and user.comment != make_mark(account.login):
        raise TljhError(
            f"{account.login} would get the account {account.name}, which is another user's",
            why=f"it was created for {user.comment.removeprefix(MARK)}",
            fix="choose another login name",
        )


def find_home_conflict(host: HostReader, user: UserInfo) -> Finding | None:
    """Return why an account cannot use its home, which belongs to another owner.

    Such a home is on NFS or on a disk of another machine, where the user had another uid. On some
    file systems every file seems to belong to one owner, so the account itself tries to write.
    """
    info = host.info(Path(user.home))
    if info is None or info.kind != "directory" or info.owner == user.name:
        return None
    tests = ["test", "-w", user.home, "-a", "-x", user.home]
    if host.query(["runuser", "-u", user.name, "--", *tests]).ok:
        return None
    home = shlex.quote(user.home)
    return Finding(
        f"the home of {user.name} belongs to {info.owner}",
        where=Place(user.home),
        why="it came from another machine, where the user had another uid",
        fix=f"if the files are the user's: sudo chown -R --from={info.owner} {user.name}: {home} "
        f"(on the file server, if it is on one); else move it away: sudo mv {home} {home}.old",
    )


def _restore_home(host: Host, account: Account) -> None:
    """Create an account's home directory if it is missing.

    It is for a user who was removed together with the home, and is added again.
    """
    user = host.user(account.name)
    if user is None or not account.may_create or host.info(Path(user.home)) is not None:
        return
    _make_home(host, account, Path(user.home))


def _check_home(host: HostReader, account: Account) -> None:
    user = host.user(account.name)
    conflict = find_home_conflict(host, user) if user else None
    if conflict:
        raise TljhError([conflict])


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
    """Return whether tljh or TLJH made an account for a hub user, by its mark or its name."""
    if user.uid < FIRST_USER_UID:
        return False
    return user.comment.startswith(MARK) or user.name.startswith(PREFIX)


def find_managed_accounts(host: HostReader) -> list[UserInfo]:
    """Return the accounts of hub users, including removed users."""
    return [user for user in host.all_users() if is_managed(user)]


def is_expired(host: HostReader, name: str) -> bool:
    """Return whether an account is locked, which `Host.lock_user` does by an expiry date."""
    for line in (host.read(Path("/etc/shadow")) or b"").decode(errors="replace").splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) > 7:
            return fields[7].isdigit() and int(fields[7]) <= 1
    return False


def find_running_units(host: HostReader, account: str) -> list[str]:
    """Return the units of a user's servers that are not inactive, named servers included."""
    user = host.user(account)
    own_units = list_unit_names(account, get_login(user) if user else account)
    named_prefix = make_unit_name(account, "-")[: -len("-.service")]
    return [
        unit.name
        for unit in host.units(SERVER_UNITS)
        if (unit.name in own_units or unit.name.startswith(named_prefix))
        and unit.active != "inactive"
    ]


def end_servers(host: Host, name: str) -> list[str]:
    """Stop the units of a user's servers; kill those that do not stop in time.

    Returns those that have not ended yet, which systemd goes on stopping.
    """
    units = find_running_units(host, name)
    if not units:
        return []
    try:
        host.systemctl("stop", *units, timeout_s=UNIT_TIMEOUT_S)
    except TljhError:
        with contextlib.suppress(TljhError):
            host.systemctl("kill", "--signal=KILL", *units, timeout_s=UNIT_TIMEOUT_S)
    return [unit for unit in units if host.unit(unit).is_active]


def end_processes(host: Host, name: str) -> None:
    """End an account's processes outside its servers: ssh sessions, terminals, jobs."""
    user = host.user(name)
    if user is None:
        return
    # Ending a session also ends what was started with sudo in it, which has another user id.
    # Without logind this fails, and only pkill remains.
    # A session that does not end in time must not prevent the kill. A user manager that lingers
    # would start the user's units again.
    for verb in ("disable-linger", "terminate-user"):
        with contextlib.suppress(TljhError):
            host.run(["loginctl", verb, name], timeout_s=30)
    host.run(["pkill", "-KILL", "--uid", str(user.uid)], timeout_s=30)
