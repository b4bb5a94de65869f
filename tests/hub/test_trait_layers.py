"""Lists and maps of ours survive what others give for them."""

from __future__ import annotations

import pytest

from tljh.base.paths import Paths
from tljh.hub.configuration import build_hub_configuration
from tljh.hub.trait_layers import CONSEQUENCES, combine, lay_over_traits
from tljh.settings.load import load

OURS = {
    "JupyterHub": {
        "services": [{"name": "cull-idle", "command": ["cull"]}],
        "load_roles": [{"name": "idle-culler", "services": ["cull-idle"]}],
    },
    "Spawner": {"environment": {"CONDA_PREFIX": "/user"}, "cmd": ["python"]},
    "SystemdSpawner": {"extra_paths": ["/user/bin"]},
}


@pytest.mark.parametrize(
    ("theirs", "section", "trait", "merged"),
    [
        ({"SystemdSpawner": {"extra_paths": ["/cuda"]}}, "SystemdSpawner", "extra_paths",
         ["/cuda", "/user/bin"]),
        ({"Spawner": {"environment": {"A": "b"}}}, "Spawner", "environment",
         {"CONDA_PREFIX": "/user", "A": "b"}),
        ({"SystemdSpawner": {"environment": {"A": "b"}}}, "SystemdSpawner", "environment",
         {"CONDA_PREFIX": "/user", "A": "b"}),
        ({"JupyterHub": {"services": [{"name": "mine"}]}}, "JupyterHub", "services",
         [{"name": "mine"}, {"name": "cull-idle", "command": ["cull"]}]),
        ({"JupyterHub": {"services": [{"name": "cull-idle", "command": ["other"]}]}},
         "JupyterHub", "services", [{"name": "cull-idle", "command": ["cull"]}]),
    ],
)  # fmt: skip
def test_what_others_give_is_laid_over_ours(theirs, section, trait, merged):
    traits, emptied = lay_over_traits(OURS, theirs)
    assert traits[section][trait] == merged
    assert emptied == []


def test_a_section_of_a_base_class_is_seen_where_ours_is_in_a_subclass():
    ours = {"SystemdSpawner": {"environment": {"OURS": "1"}}}
    traits, _ = lay_over_traits(ours, {"Spawner": {"environment": {"A": "b"}}})
    assert traits["SystemdSpawner"]["environment"] == {"OURS": "1", "A": "b"}


def test_who_empties_ours_has_it_empty_and_is_warned_of_the_consequence():
    traits, (emptied,) = lay_over_traits(OURS, {"JupyterHub": {"services": []}})
    assert traits["JupyterHub"]["services"] == []
    assert emptied.consequence == CONSEQUENCES["services"]


def test_a_command_is_replaced():
    assert lay_over_traits(OURS, {"Spawner": {"cmd": ["mine"]}}) == ({}, [])


def test_what_is_in_both_is_there_once():
    assert combine(["/user/bin"], ["/cuda", "/user/bin"]) == ["/cuda", "/user/bin"]


@pytest.mark.parametrize(
    ("text", "section", "trait", "kept"),
    [
        ("SystemdSpawner: {extra_paths: [/usr/local/cuda/bin]}", "SystemdSpawner", "extra_paths",
         "/opt/tljh/user/bin"),
        ("Spawner: {environment: {A: b}}", "Spawner", "environment", "CONDA_PREFIX"),
        ("SystemdSpawner: {unit_extra_properties: {Nice: '5'}}", "SystemdSpawner",
         "unit_extra_properties", "UMask"),
        ("users: {allowed: [ann]}\nauth: {type: dummy, DummyAuthenticator: "
         "{password: secret-enough, allowed_users: [carol]}}", "DummyAuthenticator",
         "allowed_users", "ann"),
    ],
)  # fmt: skip
def test_config_yaml_loses_none_of_ours(text, section, trait, kept):
    traits = build_hub_configuration(load(text.encode()), Paths())
    assert kept in traits[section][trait]


def test_services_of_config_yaml_keep_the_culler_and_its_role():
    text = "JupyterHub: {services: [{name: mine, url: 'http://127.0.0.1:9'}], load_roles: []}"
    hub = build_hub_configuration(load(text.encode()), Paths())["JupyterHub"]
    assert [service["name"] for service in hub["services"]] == ["mine", "cull-idle"]
