"""What the unit of a server may not do, by setting, for a user and for an admin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.base.paths import Paths
from tljh.settings.load import load
from tljh.singleuser.sandbox import (
    build_gpu_properties,
    build_spawner_traits,
    build_unit_properties,
)

ALL = dict.fromkeys(("processes", "temporary_files", "kernel", "namespaces"), True)
OF_ALL = {"TimeoutStopSec"}
PREFIX = Path("/opt/tljh")


def properties(**closed: bool) -> dict[str, str]:
    return build_unit_properties({**ALL, **closed}, is_admin=False, prefix=PREFIX)


def test_an_administrators_unit_has_nothing_that_sudo_would_feel():
    """systemd before 256 implies no new privileges by each of those that filter system calls."""
    properties_of_admin = build_unit_properties(ALL, is_admin=True, prefix=PREFIX)
    assert set(properties_of_admin) == {*OF_ALL, "ProtectProc", "PrivateIPC", "TemporaryFileSystem"}


@pytest.mark.parametrize(
    ("setting", "gone"),
    [
        ("processes", {"ProtectProc"}),
        ("temporary_files", {"PrivateIPC", "TemporaryFileSystem"}),
        ("namespaces", {"RestrictNamespaces"}),
    ],
)
def test_each_setting_opens_its_own_way_and_no_other(setting, gone):
    assert set(properties()) - set(properties(**{setting: False})) == gone


def test_gpus_are_for_members_of_their_groups_once_there_are_any():
    assert build_gpu_properties([], []) == {}
    assert build_gpu_properties(["vision"], ["vision", "stats"]) == {}
    closed = build_gpu_properties(["vision"], ["stats"])
    assert "-/dev/nvidia0 " in closed["InaccessiblePaths"]
    assert closed["DevicePolicy"] == "closed"
    traits = build_spawner_traits(load(b"isolation: {gpu_groups: [vision]}").isolation, Paths())
    assert traits["UserCreatingSpawner"]["gpu_groups"] == ["vision"]
    assert "gpu_groups" not in traits["UserCreatingSpawner"]["isolation"]


def test_without_the_kernel_setting_no_system_call_is_filtered():
    remaining = set(properties(kernel=False))
    assert remaining == {
        *OF_ALL,
        "ProtectProc",
        "PrivateIPC",
        "TemporaryFileSystem",
        "RestrictNamespaces",
        "ReadOnlyPaths",
    }


def test_a_server_runs_without_packages_and_configuration_of_its_owner_unless_told_otherwise():
    closed = build_spawner_traits(load(b"").isolation, Paths())
    assert closed["Spawner"]["cmd"][1:] == ["-s", str(Paths().launcher)]
    opened = build_spawner_traits(load(b"isolation: {server_code: false}").isolation, Paths())
    assert opened["Spawner"]["cmd"] == ["/opt/tljh/user/bin/jupyterhub-singleuser"]


def test_what_needs_no_restart_is_no_trait():
    before = build_spawner_traits(load(b"").isolation, Paths())
    after = build_spawner_traits(
        load(b"isolation: {open_ports: [8786], metadata: false}").isolation, Paths()
    )
    assert before == after
