"""`tljh auth`: what there is, and what to enter where."""

from __future__ import annotations

import shlex

import pytest

from tljh.commands import auth
from tljh.commands.config_describe import describe
from tljh.hub.trait_scan import build
from tljh.settings.load import examine
from tljh.settings.login_providers import PROVIDERS
from tljh.settings.trait_catalogue import Catalogue

CONFIG = (
    "base_url: /jupyter\nhttps: {enabled: true, letsencrypt: "
    "{email: a@example.org, domains: [hub.example.org]}}\nauth: {type: gitlab}\n"
)


@pytest.fixture(scope="module")
def catalogue():
    data = build()
    return Catalogue(data["classes"], data["authenticators"])


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    monkeypatch.setenv("TLJH_INSTALL_PREFIX", str(tmp_path))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text(CONFIG)


def test_the_list_names_every_way_and_marks_the_chosen_one():
    lines = auth.list_ways().as_text().splitlines()
    assert [line[2:].split()[0] for line in lines[: len(PROVIDERS)]] == [p.name for p in PROVIDERS]
    (marked,) = [line for line in lines if line.startswith("*")]
    assert "gitlab" in marked


def test_the_callback_to_enter_is_the_hubs_own():
    assert (
        auth.describe("github").description.callback
        == "https://hub.example.org/jupyter/hub/oauth_callback"
    )
    lti = auth.describe("lti13").description.callback
    assert lti == "https://hub.example.org/jupyter/hub/lti13/oauth_callback"
    assert auth.describe("ldap").description.callback is None


def test_secrets_are_never_to_be_typed_on_the_command_line():
    for provider in PROVIDERS:
        for command in auth.describe(provider.name).description.commands:
            if "secret" in command or "user_password" in command:
                assert command.endswith("--stdin")


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_the_commands_of_a_description_are_settings_that_exist(provider, catalogue):
    """Compare what is described with what the installed class takes."""
    if provider.main_class not in catalogue.classes:
        pytest.skip(f"{provider.main_class} is not installed")
    lines = [f"auth:\n  type: '{provider.name}'\n  {provider.main_class}:"]
    for name, value in provider.examples:
        (plain,) = shlex.split(value) if value[0] in "'\"" else (value,)
        lines.append(f"    {name}: {plain}")
    text = "\n".join(lines) if provider.examples else f"auth: {{type: '{provider.name}'}}"
    assert examine(text.encode(), catalogue=catalogue).findings("error", "incomplete") == []
    for name in provider.needs:
        assert catalogue.find_trait(provider.main_class, name) is not None


def test_a_description_is_found_by_key_as_well():
    assert describe("auth.github").as_text() == auth.describe("github").as_text()


def test_without_a_name_the_chosen_one_is_described():
    assert auth.describe().description.provider.name == "gitlab"
