"""Shared folders as resources; the integration tests edit files in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.host.fake import FakeHost
from tljh.settings.load import load
from tljh.users.shared_folders import SharedFolder, build_shared_folders

FOLDER = SharedFolder(Paths.shared_folders / "course", "pupils")


@pytest.fixture
def host():
    host = FakeHost()
    host.mkdir(Path("/srv"), mode=0o755)
    host.mkdir(Paths.shared_folders, mode=0o755)
    host.add_group("pupils")
    return host


def test_without_shared_folders_nothing_is_needed():
    assert build_shared_folders({}) == []


def test_a_shared_folder_brings_its_group():
    keys = [resource.key for resource in build_shared_folders({"course": "pupils"})]
    assert keys == [
        "directory /srv/shared",
        "group pupils",
        "shared /srv/shared/course",
    ]


def test_a_second_time_nothing_changes(host):
    assert FOLDER.difference(host)
    FOLDER.apply(host, SilentProgress())
    assert FOLDER.difference(host) is None
    assert host.info(FOLDER.path).mode == 0o2770
    assert host.info(FOLDER.path).group == "pupils"


def test_a_folder_that_lost_its_acl_gets_it_again(host):
    FOLDER.apply(host, SilentProgress())
    host.shares.clear()
    assert FOLDER.difference(host)


def test_a_rollback_removes_a_new_folder(host):
    record = FOLDER.before(host)
    FOLDER.apply(host, SilentProgress())
    SharedFolder.revert(host, record)
    assert host.info(FOLDER.path) is None


def test_a_rollback_keeps_a_folder_that_has_files(host):
    record = FOLDER.before(host)
    FOLDER.apply(host, SilentProgress())
    host.write(FOLDER.path / "notes.ipynb", b"{}", mode=0o660)
    SharedFolder.revert(host, record)
    assert host.read(FOLDER.path / "notes.ipynb") == b"{}"


def test_a_file_system_without_acls_is_named(host):
    host.refuses_acls = True
    with pytest.raises(TljhError, match="cannot be shared") as caught:
        FOLDER.apply(host, SilentProgress())
    assert "not supported" in str(caught.value)


@pytest.mark.parametrize("name", ["../etc", "a/b", "", ".", "-rf", "a b"])
def test_a_folder_name_that_leads_elsewhere_is_refused(name):
    with pytest.raises(TljhError):
        load(f"users: {{shared_folders: {{'{name}': pupils}}}}".encode())


def test_another_group_takes_the_place_of_the_first(host):
    host.add_group("staff2")
    FOLDER.apply(host, SilentProgress())
    other = SharedFolder(FOLDER.path, "staff2")
    assert other.difference(host)
    other.apply(host, SilentProgress())
    assert host.groups_sharing(FOLDER.path) == {"staff2"}


def test_a_rollback_gives_the_folder_back_to_its_group(host):
    host.add_group("staff2")
    FOLDER.apply(host, SilentProgress())
    other = SharedFolder(FOLDER.path, "staff2")
    record = other.before(host)
    other.apply(host, SilentProgress())
    SharedFolder.revert(host, record)
    assert host.groups_sharing(FOLDER.path) == {"pupils"}
    assert host.info(FOLDER.path).group == "pupils"


def test_a_rollback_takes_the_access_of_the_group_from_a_folder_that_existed(host):
    host.mkdir(FOLDER.path, mode=0o755)
    record = FOLDER.before(host)
    FOLDER.apply(host, SilentProgress())
    SharedFolder.revert(host, record)
    assert not host.groups_sharing(FOLDER.path)
