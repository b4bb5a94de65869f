"""Facts about the machine that the preflight judges."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from tljh_installer.facts import (
    channel_url,
    check_channel,
    find_python,
    parse_memory_bytes,
    parse_os_release,
    read_free_bytes,
    read_listeners,
    read_previous,
)

from tljh.base.package_indexes import PackageIndexes


def test_a_listener_is_found_with_its_process() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        (listener,) = read_listeners([port])
    assert (listener.port, listener.pid, listener.is_ours) == (port, os.getpid(), False)
    assert listener.process


def test_os_release_is_read_with_and_without_quotes() -> None:
    release = parse_os_release('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n# x\n')
    assert (release["ID"], release["VERSION_ID"]) == ("debian", "12")


def test_memory_is_read_in_bytes() -> None:
    assert parse_memory_bytes("MemTotal:        1014044 kB\nMemFree: 1 kB\n") == 1014044 * 1024
    assert parse_memory_bytes("") == 0


def test_a_missing_prefix_or_an_empty_one_is_free(tmp_path: Path) -> None:
    assert read_previous(tmp_path / "missing")[0] == "none"
    assert read_previous(tmp_path)[0] == "none"


def test_our_own_installation_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "versions" / "hub-0123").mkdir(parents=True)
    (tmp_path / "hub").symlink_to("versions/hub-0123")
    assert read_previous(tmp_path)[0] == "ours"


def test_what_a_killed_first_run_left_is_an_unfinished_install(tmp_path: Path) -> None:
    (tmp_path / "versions" / "hub-0123").mkdir(parents=True)
    (tmp_path / "installer.log").touch()
    assert read_previous(tmp_path)[0] == "unfinished"


@pytest.mark.parametrize("file", ["state/jupyterhub.sqlite", "config/config.yaml"])
def test_users_and_settings_without_their_hub_are_no_unfinished_install(
    tmp_path: Path, file: str
) -> None:
    for name in ("state", "config", "versions"):
        (tmp_path / name).mkdir()
    assert read_previous(tmp_path)[0] == "unfinished"
    (tmp_path / file).touch()
    assert read_previous(tmp_path)[0] == "tljh"


def test_the_littlest_jupyterhub_is_recognised_with_its_version(tmp_path: Path) -> None:
    packages = tmp_path / "hub/lib/python3.11/site-packages"
    (packages / "the_littlest_jupyterhub-2.0.0.dist-info").mkdir(parents=True)
    assert read_previous(tmp_path) == ("tljh", "2.0.0")
    # A takeover that was rolled back leaves a journal.
    (tmp_path / "state/journal").mkdir(parents=True)
    assert read_previous(tmp_path) == ("tljh", "2.0.0")


def test_an_old_littlest_jupyterhub_without_metadata_is_recognised(tmp_path: Path) -> None:
    for name in ("hub/bin", "user/bin", "state", "config"):
        (tmp_path / name).mkdir(parents=True)
    assert read_previous(tmp_path) == ("tljh", "")


def test_any_other_directory_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert read_previous(tmp_path) == ("foreign", "photos")


def test_a_file_in_place_of_the_prefix_is_foreign(tmp_path: Path) -> None:
    (tmp_path / "tljh").touch()
    assert read_previous(tmp_path / "tljh")[0] == "foreign"


def test_free_space_is_reported_once_for_each_file_system(tmp_path: Path) -> None:
    free = read_free_bytes([tmp_path / "a" / "b", tmp_path])
    assert list(free) == [str(tmp_path / "a" / "b")]


def test_the_python_is_a_real_path_of_a_new_enough_version() -> None:
    python = find_python()
    assert not Path(python.path).is_symlink()
    assert python.version >= (3, 10)


@pytest.mark.parametrize(
    ("channel", "url"),
    [
        ("conda-forge", "https://conda.anaconda.org/conda-forge"),
        ("https://mirror/x", "https://mirror/x"),
        ("/srv/channel", "file:///srv/channel"),
    ],
)
def test_channels_are_named_as_conda_names_them(channel: str, url: str) -> None:
    assert channel_url(channel) == url


def test_a_channel_on_disk_needs_its_index(tmp_path: Path) -> None:
    assert "repodata" in str(check_channel(PackageIndexes(), str(tmp_path))[0])
    (tmp_path / "noarch").mkdir()
    (tmp_path / "noarch" / "repodata.json").touch()
    assert check_channel(PackageIndexes(), str(tmp_path))[0] is None


def test_a_channel_that_answers_is_fine_and_one_that_fails_is_not(new_index) -> None:
    index = new_index(**{"repodata.json": b"{}"})
    channel = index.url.removesuffix("/simple") + "/files"
    index.files = {"noarch": b""}
    assert "404" in str(check_channel(PackageIndexes(), channel)[0])
    index.is_down = True
    assert "500" in str(check_channel(PackageIndexes(), channel)[0])
