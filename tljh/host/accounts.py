"""Linux accounts of the hub's users: one idempotent call, used at spawn and by reload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from tljh.base.account_names import PREFIX, unit_name
from tljh.base.errors import TljhError
from tljh.host.interface import Host, HostReader, UserInfo

USERS_GROUP = "jupyterhub-users"
ADMINS_GROUP = "jupyterhub-admins"

# An account of ours carries this and the login name it was made for; see `_claim`.
MARK = "JupyterHub user "

LOCK = Path("/run/tljh-accounts.lock")
LOCK_TIMEOUT_S = 60

# Homes of an ordinary machine begin here; below are accounts of the system.
FIRST_USER_UID = 1000

TRIES = 5


@dataclass(frozen=True)
class Account:
    """An account as it shall be. `extra_groups` are made where they are missing.

    With `is_made` false it has to be there, and is nobody's but the machine's.
    """

    name: str
    login: str
    is_admin: bool = False
    extra_groups: tuple[str, ...] = ()
    home_root: Path = Path("/home")
    skeleton: Path | None = None
    is_made: bool = True


def mark_of(login: str) -> str:
    """The comment field of an account: readable, and free of what passwd cannot hold."""
    return MARK + quote(login, safe="@.-_+ ")


def login_of(user: UserInfo) -> str | None:
    """Whom an account was made for; None for one without our mark."""
    if not user.comment.startswith(MARK):
        return None
    return unquote(user.comment.removeprefix(MARK))


def ensure_account(host: Host, account: Account) -> bool:
    """Make the account and its memberships right; true if the account is new.

    Safe to call for many users at once. Raises TljhError when the name belongs to somebody
    else, or when the system cannot make the account.
    """
    with host.lock(LOCK, timeout_s=LOCK_TIMEOUT_S):
        is_new = host.user(account.name) is None
        if is_new and not account.is_made:
            raise TljhError(
                f"{account.name} has no account on this machine",
                why="users.accounts is existing, so none is made",
                fix=f"sudo useradd --create-home {account.name}",
            )
        if is_new:
            _make(host, account)
        else:
            _claim(host, account)
            _make_home(host, account)
        _join_groups(host, account)
    return is_new


def account_of_server(host: Host, account: Account) -> bool:
    """Make an account right that a server may run as; true if it is new."""
    is_new = ensure_account(host, account)
    # Systemd runs what it is told as anybody; ssh and PAM look at this themselves.
    if is_expired(host, account.name):
        raise TljhError(
            "your account is locked",
            why=f"{account.login} was removed or banned, or {account.name} has expired",
            fix=f"sudo tljh user add {account.login}",
        )
    return is_new


def _make(host: Host, account: Account) -> None:
    home = account.home_root / account.name
    if host.info(account.home_root) is None:
        host.mkdir(account.home_root, mode=0o755)
    for attempt in range(1, TRIES + 1):
        try:
            host.add_user(
                account.name,
                home=home,
                comment=mark_of(account.login),
                skeleton=account.skeleton,
            )
            break
        except TljhError:
            # Somebody's vipw or an upgrade holds the lock of /etc/passwd for a moment.
            if host.user(account.name) is not None:
                break
            if attempt == TRIES:
                raise
            host.pause(0.5 * attempt)
    host.chmod(home, mode=0o700, owner=account.name, group=account.name)


def _claim(host: Host, account: Account) -> None:
    found = host.user(account.name)
    assert found is not None
    if found.uid < FIRST_USER_UID:
        raise TljhError(
            f"{account.name} is an account of the system, so {account.login} cannot have it",
            fix="choose another login name",
        )
    if found.comment.startswith(MARK) and found.comment != mark_of(account.login):
        raise TljhError(
            f"{account.login} would get the account {account.name}, which is another user's",
            why=f"it was made for {found.comment.removeprefix(MARK)}",
            fix="choose another login name",
        )


def _make_home(host: Host, account: Account) -> None:
    """A home for an account that lost it: somebody removed with the home and added again."""
    found = host.user(account.name)
    if found is None or not account.is_made or host.info(Path(found.home)) is not None:
        return
    skeleton = [str(account.skeleton)] if account.skeleton else []
    host.run(["mkhomedir_helper", account.name, "0077", *skeleton], timeout_s=60)
    if host.info(Path(found.home)) is None:
        host.mkdir(Path(found.home), mode=0o700, owner=account.name, group=account.name)


def _join_groups(host: Host, account: Account) -> None:
    wanted: Sequence[str] = (USERS_GROUP, *account.extra_groups)
    for group in wanted:
        if host.group(group) is None:
            host.add_group(group)
        _join(host, account.name, group)
    if account.is_admin:
        _join(host, account.name, ADMINS_GROUP)
    else:
        host.remove_from_group(account.name, ADMINS_GROUP)


def _join(host: Host, user: str, group: str) -> None:
    found = host.group(group)
    if found is None or user not in found.members:
        host.add_to_group(user, group)


def is_managed(user: UserInfo) -> bool:
    """Whether an account was made for somebody of a hub: by its mark, or by TLJH before us."""
    if user.uid < FIRST_USER_UID:
        return False
    return user.comment.startswith(MARK) or user.name.startswith(PREFIX)


def managed_accounts(host: HostReader) -> list[UserInfo]:
    """The accounts that were made for people of the hub, gone ones included."""
    return [user for user in host.all_users() if is_managed(user)]


def is_expired(host: HostReader, name: str) -> bool:
    """Whether an account refuses every login because its time is over."""
    for line in (host.read(Path("/etc/shadow")) or b"").decode(errors="replace").splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) > 7:
            return fields[7].isdigit() and int(fields[7]) <= 1
    return False


def running_units(host: HostReader, account: str) -> list[str]:
    """The units of somebody's servers, named ones too, that are not down."""
    own = unit_name(account)
    named = unit_name(account, "-")[: -len("-.service")]
    return [
        unit.name
        for unit in host.units("jupyter-*.service")
        if (unit.name == own or unit.name.startswith(named)) and unit.active != "inactive"
    ]


def end_processes(host: Host, name: str) -> None:
    """End what an account runs outside its servers: ssh sessions, terminals left behind, jobs."""
    user = host.user(name)
    if user is None:
        return
    # A session's end takes along what was started with sudo in it; without logind there are none.
    host.run(["loginctl", "terminate-user", name], timeout_s=30)
    host.run(["pkill", "-KILL", "--uid", str(user.uid)], timeout_s=30)
