"""Accounts of a backup on a machine where other accounts have their numbers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tljh.backup.restored import RestoredAccounts, choose_uids
from tljh.base.progress import SilentProgress
from tljh.host.fake import FakeHost
from tljh.host.owner_map import change_owners
from tljh.users.exported_accounts import ExportedAccount, export_accounts, export_groups


def account(name: str, uid: int, **more) -> ExportedAccount:
    return ExportedAccount(
        name, uid, uid, f"JupyterHub user {name}", f"/home/{name}", "/bin/sh", **more
    )


def test_an_account_keeps_its_number_where_it_is_free():
    accounts = [account("ann", 1000), account("bob", 1001)]
    assert choose_uids(accounts, {0: "root"}, frozenset()) == {"ann": 1000, "bob": 1001}


def test_a_number_that_is_in_use_is_replaced_by_one_that_nobody_had_or_has():
    accounts = [account("ann", 1000), account("bob", 1001), account("cat", 1005)]
    taken = {1000: "ubuntu", 1006: "other", 65534: "nobody"}
    chosen = choose_uids(accounts, taken, frozenset({1007}))
    assert chosen == {"ann": 1008, "bob": 1001, "cat": 1005}
    assert not {*chosen.values()} & {*taken, 1007}


def test_an_account_that_exists_keeps_the_number_that_it_has():
    assert choose_uids([account("ann", 1000)], {1003: "ann", 1000: "x"}, frozenset()) == {
        "ann": 1003
    }


def test_accounts_are_made_once_and_a_rollback_removes_only_those():
    host = FakeHost()
    host.add_user("jupyter-bob", home=Path("/home/jupyter-bob"), comment="JupyterHub user bob")
    accounts = (account("jupyter-ann", 1500, groups=("class",)), account("jupyter-bob", 1501))
    resource = RestoredAccounts(accounts, {"class": 1600})
    record = resource.before(host)
    resource.apply(host, SilentProgress())
    resource.apply(host, SilentProgress())
    assert resource.difference(host) is None
    ann = host.user("jupyter-ann")
    assert ann is not None
    assert "class" in ann.groups
    assert {each.name for each in export_accounts(host)} == {"jupyter-ann", "jupyter-bob"}
    RestoredAccounts.revert(host, record)
    assert host.user("jupyter-ann") is None
    assert host.user("jupyter-bob") is not None


def test_groups_of_packages_are_not_exported():
    host = FakeHost()
    host.add_user("jupyter-ann", home=Path("/home/jupyter-ann"), comment="JupyterHub user ann")
    for group, is_system in (("docker", True), ("class", False)):
        host.add_group(group, system=is_system)
        host.add_to_group("jupyter-ann", group)
    assert "docker" not in export_groups(host, export_accounts(host))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes owners")
def test_owners_are_replaced_in_one_pass_without_following_links(tmp_path: Path):
    tree, outside = tmp_path / "home", tmp_path / "outside"
    outside.write_text("")
    (tree / "a").mkdir(parents=True)
    (tree / "a" / "program").write_text("")
    (tree / "link").symlink_to(outside)
    for path in (tree, tree / "a", tree / "a" / "program", tree / "link"):
        os.lchown(path, 1000, 1000)
    os.chown(tree / "a", 1001, 1000)
    (tree / "a" / "program").chmod(0o2755)
    change_owners(tree, {1000: 1001, 1001: 2002}, {1000: 3003})
    assert (tree.stat().st_uid, tree.stat().st_gid) == (1001, 3003)
    assert (tree / "a").stat().st_uid == 2002
    assert (tree / "a" / "program").stat().st_mode & 0o7777 == 0o2755
    assert (tree / "link").lstat().st_uid == 1001
    assert outside.stat().st_uid == 0
