"""Users collected from all sources, on a machine in memory."""

from __future__ import annotations

from pathlib import Path

from tljh.base.clock import get_utc_time
from tljh.base.paths import Paths
from tljh.commands.user_change import describe_removal
from tljh.host.fake import FakeHost
from tljh.host.interface import FileInfo
from tljh.hub.user_directory import read_user_directory
from tljh.settings.load import load
from tljh.users.effective_lists import EffectiveLists


def test_with_existing_accounts_users_have_the_machines_own(tmp_path):
    host = FakeHost()
    host.add_user("ann", home=Path("/home/ann"))
    host.add_user("jupyter-bob", home=Path("/home/jupyter-bob"))
    text = b"auth: {type: pam}\nusers: {accounts: existing, allowed: [ann, bob]}\n"
    users = read_user_directory(host, load(text), Paths(tmp_path)).users
    assert (users["ann"].account, users["ann"].home) == ("ann", "/home/ann")
    assert users["bob"].account is None
    line = describe_removal(users["ann"], None, is_managed=False)
    assert "locked" not in line
    assert "stays as it is" in line


def test_with_managed_accounts_users_have_those_of_tljh(tmp_path):
    host = FakeHost()
    host.add_user("ann", home=Path("/home/ann"))
    host.add_user("jupyter-ann", home=Path("/home/jupyter-ann"))
    users = read_user_directory(host, load(b"users: {allowed: [ann]}"), Paths(tmp_path)).users
    assert users["ann"].account == "jupyter-ann"
    assert "the account locked" in describe_removal(users["ann"], None, is_managed=True)


def test_users_of_a_drop_in_or_a_class_section_are_listed_as_the_hub_loaded_them(tmp_path):
    host, paths = FakeHost(), Paths(tmp_path)
    lists = EffectiveLists(
        get_utc_time(), frozenset({"ann", "carol"}), frozenset({"zoe"}), frozenset({"eve"})
    )
    host.files[paths.hub_lists] = (FileInfo("file", 0o600, "root", "root"), lists.as_bytes())
    users = read_user_directory(host, load(b"users: {allowed: [ann]}"), paths).users
    assert {name: user.access for name, user in users.items()} == {
        "ann": "listed",
        "carol": "listed",
        "zoe": "listed",
        "eve": "banned",
    }
    assert users["zoe"].is_admin
