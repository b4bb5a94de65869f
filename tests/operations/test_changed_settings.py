"""What plan and history say of an edit: settings with old and new value, and the cost."""

from __future__ import annotations

import pytest

from tljh.operations.changed_settings import find_changed_settings

COMPUTED = {"limits.memory": "11.3G"}


def changes(before: str, after: str) -> list[str]:
    changes = find_changed_settings(before.encode(), after.encode(), COMPUTED)
    return [setting.as_text() for setting in changes]


def test_a_setting_is_named_with_its_old_and_new_value():
    assert changes("limits: {memory: 11G}", "limits: {memory: 1G}") == ["limits.memory  11G -> 1G"]


def test_a_default_that_depends_on_the_machine_is_shown_as_its_value():
    assert changes("", "limits: {memory: 1G}") == [
        "limits.memory  auto -> 1G (the default is 11.3G on this machine)"
    ]


def test_another_spelling_of_the_same_value_and_a_written_default_are_no_changes():
    assert changes("limits: {memory: 2GB}", "limits: {memory: 2G, cpu_weight: 100}") == []


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("users: {allowed: [alice]}", "users: {allowed: [bob]}", "users.allowed  -alice +bob"),
        ("", "limits: {users: {bob: {memory: 1G}}}", "limits.users.bob.memory  not set -> 1G"),
        (
            "users: {extra_user_groups: {a: [x]}}",
            "users: {extra_user_groups: {a: [x, y]}}",
            "users.extra_user_groups.a  +y",
        ),
        (
            "auth: {GitHubOAuthenticator: {client_secret: 0ld}}",
            "auth: {GitHubOAuthenticator: {client_secret: n3w}}",
            "auth.GitHubOAuthenticator.client_secret  changed (secret, not shown)",
        ),
        (
            "",
            "JupyterHub: {active_server_limit: 5}",
            "JupyterHub.active_server_limit  not set -> 5",
        ),
        ("", "my_plugin: {a: 1}", "my_plugin.a  not set -> 1"),
        ("https: {enabled: true}", "", "https.enabled  true -> false"),
    ],
)
def test_every_kind_of_setting_is_named(before, after, line):
    assert changes(before, after) == [line]


def test_each_setting_has_its_cost():
    (setting,) = find_changed_settings(b"", b"auth: {session_days: 1}", {})
    assert setting.cost == "the hub restarts; servers keep running, and requests wait"


def test_a_state_of_an_older_release_with_unknown_settings_is_still_compared():
    before, after = "gone: {x: 1}\nlimits: {memroy: 1G}", "limits: {cpu: 2}"
    assert changes(before, after) == ["gone.x  1 -> not set", "limits.cpu  null -> 2"]
