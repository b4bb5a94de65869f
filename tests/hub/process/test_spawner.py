"""The spawner: templates with the user's name, and hooks that find the user's account."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from tljh.base.paths import Paths
from tljh.hub.configuration import build_hub_configuration
from tljh.hub.process.spawner import UserCreatingSpawner, expand
from tljh.settings.load import load

VALUES = {"USERNAME": "jupyter-ann", "LOGIN": "ann", "USERID": "7"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/{USERNAME}/{USERID}", "/home/jupyter-ann/7"),
        # Doubled for systemdspawner, which formats with str.format.
        ('--ServerApp.x={{"a": {{"b": 1}}}}', '--ServerApp.x={"a": {"b": 1}}'),
        ('--x={{"user": "{USERNAME}"}}', '--x={"user": "jupyter-ann"}'),
        # Not doubled.
        ('--x={"a": {"b": 1}}', '--x={"a": {"b": 1}}'),
        ('--x={"user": "{LOGIN}"}', '--x={"user": "ann"}'),
        ("${HOME}", "${HOME}"),
        ("{", "{"),
        ("{USERNAME.__class__}", "{USERNAME.__class__}"),
        ("", ""),
    ],
)
def test_braces_are_read_as_systemdspawner_reads_them_and_kept_where_they_are_no_template(
    text, expected
):
    assert expand(text, VALUES) == expected


def test_the_value_of_a_name_is_never_a_template_itself():
    assert expand("{LOGIN}-{USERID}{", {"LOGIN": "{USERID}", "USERID": "7"}) == "{USERID}-7{"


def spawner(**traits):
    user = SimpleNamespace(name="ann", id=7, admin=False)
    spawner = UserCreatingSpawner.__new__(UserCreatingSpawner)
    spawner.user = user
    for name, value in traits.items():
        setattr(spawner, name, value)
    return spawner


def test_tljhs_template_of_account_names_is_the_account():
    assert spawner()._expand_user_vars("/srv/jupyter-{USERNAME}") == "/srv/jupyter-ann"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_hook_before_the_start_finds_account_and_home(is_async):
    events = []

    async def ensure_account():
        events.append("account")

    def hook(spawner):
        events.append("hook")

    async def async_hook(spawner):
        hook(spawner)

    spawned = spawner(pre_spawn_hook=async_hook if is_async else hook)
    spawned._ensure_account = ensure_account
    asyncio.run(spawned.run_pre_spawn_hook())
    assert events == ["account", "hook"]


def test_without_a_hook_the_account_waits_for_its_turn():
    spawned = spawner()
    spawned._ensure_account = None
    asyncio.run(spawned.run_pre_spawn_hook())


def test_every_setting_of_the_spawner_is_a_trait():
    """Fail for a setting without a trait: it is ignored, and its reader fails at a start."""
    section = build_hub_configuration(load(b""), Paths())["UserCreatingSpawner"]
    assert [name for name in section if not UserCreatingSpawner.class_traits().get(name)] == []
