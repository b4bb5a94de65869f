"""The config.yaml of The Littlest JupyterHub becomes one of ours, and each change is said."""

from __future__ import annotations

import pytest

from tljh.settings.load import load
from tljh.takeover.translation import translate_settings

OLD = """\
# our class
users:
  admin: admin
  extra_user_groups:
    course: ann
limits:
  memory: 1G
  cpu: "2"
base_url: hub
foo: 1
services:
  configurator:
    enabled: true
user_environment:
  default_app: weird
"""


def test_what_was_refused_is_a_configuration_of_ours_with_the_same_meaning():
    translated = translate_settings(OLD, ["ann", "admin"])
    config = load(translated.text.encode())
    assert config.users.admin == ["admin"] and config.users.allowed == ["ann"]
    assert config.users.extra_user_groups == {"course": ["ann"]}
    assert config.limits.cpu == 2 and config.limits.memory == "1G"
    assert config.base_url == "/hub" or config.base_url == "/hub/"
    assert config.user_environment.default_app == "jupyterlab"
    assert "# our class" in translated.text
    for key in ("users.admin", "limits.cpu", "base_url", "foo", "services.configurator"):
        assert any(key in note for note in translated.notes), key


def test_a_listed_name_with_capitals_is_not_listed_again():
    text = "users:\n  allowed: [Bob.Smith]\n  admin: [Teacher]\n"
    translated = translate_settings(text, ["bob.smith", "teacher"])
    assert load(translated.text.encode()).users.allowed == ["bob.smith"]


def test_defaults_that_differ_are_written_down():
    config = load(translate_settings("users:\n  admin: [admin]\n", []).text.encode())
    assert config.services.cull.timeout == 600
    assert config.auth.session_days == 14
    assert config.limits.memory is None
    assert config.users.ssh == "shell"


def test_values_of_the_admin_stay_where_a_default_differs():
    text = "services:\n  cull:\n    timeout: 900\nlimits:\n  memory: 512M\n"
    translated = translate_settings(text, [])
    config = load(translated.text.encode())
    assert config.services.cull.timeout == 900 and config.limits.memory == "512M"
    assert not any("cull" in note or "memory" in note for note in translated.notes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["ann", "bob"]),
        ("users:\n  allowed: [cy]\n", ["cy", "ann", "bob"]),
        ("users:\n  allowed: [cy]\n  banned: [bob]\n", ["cy", "ann"]),
        ("auth:\n  type: github\n", []),
        ("auth:\n  type: github\nusers:\n  allowed: [cy]\n", ["cy", "ann", "bob"]),
        ("auth:\n  type: github\n  allow_all: true\n", []),
    ],
)
def test_who_could_log_in_unlisted_is_listed(text, expected):
    config = load(translate_settings(text, ["ann", "bob"]).text.encode())
    assert config.users.allowed == expected


def test_a_translated_text_stays_as_it_is():
    once = translate_settings(OLD, ["ann"]).text
    assert translate_settings(once, ["ann"]) == type(translate_settings(once, ["ann"]))(once, ())


@pytest.mark.parametrize("key", ["admin", "allowed", "banned"])
def test_an_empty_list_is_empty(key):
    load(translate_settings(f"users:\n  {key}:\n", []).text.encode())
