"""Every option of the installed JupyterHub is in the table, and each refusal says what to write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jupyterhub.app import JupyterHub
from jupyterhub.auth import Authenticator
from jupyterhub.proxy import Proxy
from jupyterhub.spawner import Spawner

from tests.configurations import real_catalogue
from tljh.base.errors import Finding, TljhError
from tljh.hub.option_reference import format_options_page
from tljh.settings.config_file import ConfigFile
from tljh.settings.hub_options import OPTIONS, OptionKind, find_option
from tljh.settings.keys import setting_keys
from tljh.settings.load import check
from tljh.settings.root import Config

CLASSES = (JupyterHub, Proxy, Spawner, Authenticator)
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hub-options.md"
# Options of earlier releases, which admins copy from old pages.
GONE = {
    "JupyterHub": {"statsd_host", "statsd_port", "statsd_prefix", "hub_prefix", "user_groups"},
    "Authenticator": {"admin_whitelist", "blacklist", "blocklist"},
}


def findings_of(text: str) -> list[Finding]:
    return check(text.encode(), catalogue=real_catalogue())


@pytest.mark.parametrize("cls", CLASSES)
def test_table_has_every_option_of_the_installed_class_and_no_other(cls: type) -> None:
    installed = set(cls.class_traits(config=True))
    assert set(OPTIONS[cls.__name__]) - GONE.get(cls.__name__, set()) == installed


@pytest.mark.parametrize("cls", CLASSES)
def test_options_that_jupyterhub_calls_deprecated_are_refused(cls: type) -> None:
    for name, trait in cls.class_traits(config=True).items():
        if re.match(r"\W*(PENDING )?DEPRECATED?\b", trait.help or "", re.I):
            assert OPTIONS[cls.__name__][name].is_refused, name


@pytest.mark.parametrize(
    ("section", "name"),
    [
        (section, name)
        for section, options in OPTIONS.items()
        for name, option in options.items()
        if option.is_refused
    ],
)
def test_refused_option_is_reported_once_at_its_line_with_reason_and_fix(
    section: str, name: str
) -> None:
    (finding,) = findings_of(f"# ours\n{section}:\n  {name}: 1\n")
    assert finding.what == f"{section}.{name} cannot be set here"
    assert finding.where is not None and finding.where.line == 3
    assert finding.why and finding.fix


def test_settings_that_the_table_names_exist() -> None:
    keys = set(setting_keys(Config))
    for options in OPTIONS.values():
        for option in options.values():
            assert option.setting is None or option.setting in keys, option.setting
            for key in re.findall(
                r"tljh-config (?:set|add-item) ([a-z_]+(?:\.[a-z_]+)*)\b", option.fix
            ):
                assert key in keys, option.fix


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("JupyterHub: {admin_users: [bob]}", "sudo tljh-config add-item users.admin NAME"),
        ("Authenticator: {whitelist: [bob]}", "sudo tljh-config add-item users.allowed NAME"),
        ("auth: {LDAPAuthenticator: {whitelist: [x]}}", "users.allowed"),
        ("LDAPAuthenticator: {username_pattern: '.*'}", "users.allowed"),
        ("SystemdSpawner: {port: 8888}", "remove it"),
        ("UserCreatingSpawner: {pre_spawn_hook: x.y}", "config/jupyterhub_config.d"),
        ("Application: {port: 8000}", "sudo tljh-config set http.port PORT"),
        ("TraefikFileProviderProxy: {should_start: true}", "remove it"),
        ("JupyterHub: {statsd_host: x}", "sudo tljh monitoring token"),
    ],
)
def test_option_is_refused_by_the_name_of_each_class_that_has_it(text: str, fix: str) -> None:
    (finding,) = findings_of(text)
    assert "cannot be set here" in finding.what
    assert finding.fix is not None and fix in finding.fix


@pytest.mark.parametrize("name", ["active_server_limit", "service_check_interval"])
def test_settable_option_is_checked_by_its_type(name: str) -> None:
    assert OPTIONS["JupyterHub"][name].kind is OptionKind.SETTABLE
    assert findings_of(f"JupyterHub: {{{name}: 10}}") == []
    (finding,) = findings_of(f"JupyterHub: {{{name}: ten}}")
    assert "expected an int" in finding.what


def test_key_of_an_option_that_is_gone_has_its_fix(tmp_path: Path) -> None:
    file = ConfigFile(tmp_path / "config.yaml", catalogue=real_catalogue())
    with pytest.raises(TljhError) as failed:
        file.look_up("Authenticator.blacklist")
    (finding,) = failed.value.findings
    assert finding.fix == "sudo tljh-config add-item users.banned NAME"


def test_options_of_plugins_are_not_in_the_table() -> None:
    assert find_option("SwarmSpawner", "port") is OPTIONS["Spawner"]["port"]
    assert find_option("CourseAuthenticator", "course") is None


def test_page_is_not_stale() -> None:
    page = format_options_page(real_catalogue())
    assert PAGE.read_text() == page, "docs/reference/hub-options.md is stale: run `make reference`"
