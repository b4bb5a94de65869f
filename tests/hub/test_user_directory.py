"""Users collected from all sources, on a machine in memory."""

from __future__ import annotations

from pathlib import Path

from tljh.base.clock import utc_now
from tljh.base.paths import Paths
from tljh.commands.user_change import removed_line
from tljh.host.fake import FakeHost
from tljh.host.interface import FileInfo
from tljh.hub.user_directory import read_register
from tljh.settings.load import load
from tljh.users.effective_lists import EffectiveLists


def test_with_existing_accounts_users_have_the_machines_own(tmp_path):
    host = FakeHost()
    host.add_user("ann", home=Path("/home/ann"))
    host.add_user("jupyter-bob", home=Path("/home/jupyter-bob"))
    text = b"auth: {type: pam}\nusers: {accounts: existing, allowed: [ann, bob]}\n"
    people = read_register(host, load(text), Paths(tmp_path)).people
    assert (people["ann"].account, people["ann"].home) == ("ann", "/home/ann")
    assert people["bob"].account is None
    line = removed_line(people["ann"], None, is_managed=False)
    assert "locked" not in line
    assert "stays as it is" in line


def test_with_managed_accounts_users_have_those_of_tljh(tmp_path):
    host = FakeHost()
    host.add_user("ann", home=Path("/home/ann"))
    host.add_user("jupyter-ann", home=Path("/home/jupyter-ann"))
    people = read_register(host, load(b"users: {allowed: [ann]}"), Paths(tmp_path)).people
    assert people["ann"].account == "jupyter-ann"
    assert "the account locked" in removed_line(people["ann"], None, is_managed=True)


def test_users_of_a_drop_in_or_a_class_section_are_listed_as_the_hub_loaded_them(tmp_path):
    host, paths = FakeHost(), Paths(tmp_path)
    lists = EffectiveLists(
        utc_now(), frozenset({"ann", "carol"}), frozenset({"zoe"}), frozenset({"eve"})
    )
    host.files[paths.hub_lists] = (FileInfo("file", 0o600, "root", "root"), lists.as_bytes())
    people = read_register(host, load(b"users: {allowed: [ann]}"), paths).people
    assert {name: person.access for name, person in people.items()} == {
        "ann": "listed",
        "carol": "listed",
        "zoe": "listed",
        "eve": "banned",
    }
    assert people["zoe"].is_admin
