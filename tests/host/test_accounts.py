"""Accounts of users: created once, found again, never those of another user."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.base.account_names import make_account_name, make_unit_name
from tljh.base.errors import TljhError
from tljh.host.accounts import (
    ADMINS_GROUP,
    Account,
    ensure_account,
    ensure_server_account,
    find_managed_accounts,
    find_running_units,
    is_expired,
    is_managed,
)
from tljh.host.fake import FakeHost
from tljh.host.home_archive import archive_home
from tljh.host.interface import FileInfo, Result, UnitInfo, UserInfo
from tljh.host.real import RealHost


@pytest.fixture
def host():
    host = FakeHost()
    host.mkdir(Path("/home"), mode=0o755)
    host.add_group(ADMINS_GROUP)
    return host


def home(host: FakeHost, name: str, owner: str) -> Path:
    path = Path("/home") / name
    host.mkdir(path, mode=0o700, owner=owner)
    return path


def test_an_existing_account_is_used_and_never_created(host):
    with pytest.raises(TljhError, match="bob has no account on this machine"):
        ensure_account(host, Account("bob", "bob", may_create=False))
    host.accounts["bob"] = UserInfo("bob", 1500, 1500, "/home/bob", "/bin/bash", "Bob")
    assert not ensure_account(host, Account("bob", "bob", may_create=False))
    assert "bob" in host.group("jupyterhub-users").members


def test_an_account_of_the_system_is_given_to_no_user(host):
    host.accounts["www-data"] = UserInfo("www-data", 33, 33, "/var/www", "/bin/false")
    with pytest.raises(TljhError, match="account of the system"):
        ensure_account(host, Account("www-data", "www-data", may_create=False))


def test_a_missing_directory_for_homes_is_created(host):
    host.mkdir(Path("/data"), mode=0o755)
    ensure_account(host, Account("jupyter-a", "a", home_root=Path("/data/home")))
    assert host.info(Path("/data/home")).mode == 0o755


def test_a_locked_account_gets_no_server(host):
    host.mkdir(Path("/home/jupyter-ann"), mode=0o755)
    account = Account("jupyter-ann", "ann")
    assert ensure_server_account(host, account)
    host.lock_user("jupyter-ann")
    with pytest.raises(TljhError, match="your account is locked"):
        ensure_server_account(host, account)
    host.unlock_user("jupyter-ann")
    assert not ensure_server_account(host, account)


def test_an_account_that_lost_its_home_gets_a_new_one(host):
    path = home(host, "jupyter-bob", "jupyter-bob")
    ensure_account(host, Account("jupyter-bob", "bob"))
    host.remove(path)
    ensure_account(host, Account("jupyter-bob", "bob"))
    info = host.info(path)
    assert (info.mode, info.owner) == (0o700, "jupyter-bob")


def test_accounts_of_users_have_our_mark_or_a_name_of_tljh(host):
    host.accounts["jupyter-old"] = UserInfo("jupyter-old", 1001, 1001, "/h", "/bin/bash")
    host.accounts["other"] = UserInfo("other", 1002, 1002, "/h", "/bin/bash", "JupyterHub user x")
    host.accounts["human"] = UserInfo("human", 1003, 1003, "/h", "/bin/bash", "A. Human")
    assert {user.name for user in find_managed_accounts(host)} == {"jupyter-old", "other"}
    assert not is_managed(UserInfo("jupyter-sys", 999, 999, "/h", "/bin/bash"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a:!:20000:0:99999:7:::", False),
        ("a:!:20000:0:99999:7::1:", True),
        ("a:!:20000:0:99999:7::0:", True),
        ("a:!:20000:0:99999:7::99999:", False),
        ("ab:!:20000:0:99999:7::1:", False),
        ("a:!", False),
    ],
)
def test_an_expired_account_is_recognised_by_its_line_in_shadow(host, line, expected):
    info = FileInfo("file", 0o640, "root", "shadow")
    host.files[Path("/etc/shadow")] = (info, f"root:*:1::::::\n{line}\n".encode())
    assert is_expired(host, "a") is expected


def test_servers_of_similar_names_are_distinguished(host):
    names = [
        make_unit_name(make_account_name("a@b.org")),
        make_unit_name(make_account_name("a@b.org"), "lab-2"),
        make_unit_name(make_account_name("a@b.orgx")),
        make_unit_name(make_account_name("a@b.org-x")),
    ]
    for name in names:
        host.unit_states[name] = UnitInfo(name, active="active")
    assert sorted(find_running_units(host, make_account_name("a@b.org"))) == sorted(names[:2])


def test_only_names_that_debian_13_refuses_are_forced_on_it(monkeypatch):
    commands = []
    host = RealHost()
    monkeypatch.setattr(host, "_run_or_raise", lambda *argv, **_: commands.append(argv))
    for name in ("jupyter-bob", "jupyter-x.mount", "jupyter-a@b.org", "jupyter-a+b"):
        host.add_user(name, home=Path("/home") / name)
    assert ["--badname" in argv for argv in commands] == [False, False, True, True]


def test_a_home_is_deleted_only_once_its_archive_was_read(host):
    path = home(host, "jupyter-bob", "jupyter-bob")
    host.answers["tar --list"] = Result(2, "", "tar: Unexpected EOF")
    with pytest.raises(TljhError, match="could not be archived") as caught:
        archive_home(host, "jupyter-bob", path, Path("/opt"))
    assert "Unexpected EOF" in str(caught.value)
    assert host.listdir(Path("/opt")) == []
    assert host.info(path) is not None


@pytest.mark.parametrize("owner", ["root", "jupyter-eve"])
def test_a_directory_of_another_user_is_never_deleted(host, owner):
    path = home(host, "jupyter-bob", owner)
    with pytest.raises(TljhError, match="not jupyter-bob's own"):
        archive_home(host, "jupyter-bob", path, Path("/opt"))
    assert host.info(path) is not None


def test_a_missing_home_is_no_error(host):
    assert archive_home(host, "jupyter-bob", Path("/home/jupyter-bob"), Path("/opt")) is None


def test_an_account_gets_the_uid_of_the_home_that_bears_its_name(host):
    home(host, "jupyter-zoe", owner="1007")
    ensure_account(host, Account("jupyter-zoe", "zoe"))
    assert host.user("jupyter-zoe").uid == 1007


def test_no_account_gets_a_uid_that_owns_the_home_of_another(host):
    home(host, "jupyter-zoe", owner="1000")
    home(host, "jupyter-yan", owner="1002")
    home(host, "jupyter-ann", owner="root")
    ensure_account(host, Account("jupyter-ann", "ann"))
    assert host.user("jupyter-ann").uid not in (1000, 1002)


@pytest.mark.parametrize("root", ["/home", "/data/home", "/srv/people"])
def test_homes_elsewhere_count_too(host, root):
    # In the directory of homes that was set before, and next to those of other accounts.
    host.add_user("teacher", home=Path("/srv/people/teacher"))
    host.add_user("nobody2", home=Path("/"), uid=1001)
    for parent in (
        Path("/data"),
        Path("/srv"),
        Path("/srv/people"),
        Path("/data/home"),
        Path(root),
    ):
        if host.info(parent) is None:
            host.mkdir(parent, mode=0o755)
    host.mkdir(Path(root) / "jupyter-zoe", mode=0o700, owner="1002", group="1002")
    new = Path("/data/home")
    ensure_account(host, Account("jupyter-ann", "ann", home_root=new))
    assert host.user("jupyter-ann").uid == 1003
    ensure_account(host, Account("jupyter-zoe", "zoe", home_root=new))
    assert host.user("jupyter-zoe").uid == 1002


def test_a_free_uid_is_found_below_a_home_with_the_highest_one(host):
    home(host, "jupyter-zoe", owner="60000")
    ensure_account(host, Account("jupyter-ann", "ann"))
    assert host.user("jupyter-ann").uid == 1000


def test_a_home_of_another_account_is_not_given_away(host):
    host.add_user("ann", home=Path("/home/ann"))
    home(host, "jupyter-zoe", owner="ann")
    with pytest.raises(TljhError, match="belongs to ann") as caught:
        ensure_account(host, Account("jupyter-zoe", "zoe"))
    assert "sudo mv" in str(caught.value)
    # The account then gets this uid, so all of its files have to have it.
    uid = host.user("ann").uid + 1
    assert f"chown -R --from=ann {uid}:{uid} /home/jupyter-zoe" in str(caught.value)
    assert host.user("jupyter-zoe") is None


def test_a_server_does_not_start_on_a_home_that_its_account_cannot_write(host):
    path = home(host, "jupyter-zoe", owner="root")
    ensure_account(host, Account("jupyter-zoe", "zoe"))
    host.chmod(path, mode=0o700, owner="jupyter-ann", group="jupyter-ann")
    # On some file systems all files seem to belong to one owner, and the account may write.
    ensure_account(host, Account("jupyter-zoe", "zoe"))
    host.answers["runuser -u jupyter-zoe -- test"] = Result(1)
    with pytest.raises(TljhError, match="home of jupyter-zoe belongs to jupyter-ann") as caught:
        ensure_account(host, Account("jupyter-zoe", "zoe"))
    assert f"chown -R --from=jupyter-ann jupyter-zoe: {path}" in str(caught.value)
