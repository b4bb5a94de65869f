"""Names of TLJH's that plugins and old configurations use for the configuration."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from traitlets.config import Config as JupyterHubConfig

from tljh import configurer
from tljh.base.errors import TljhError
from tljh.config import set_config_value
from tljh.configurer import apply_config, load_config
from tljh.user import remove_group, remove_user


def test_yaml_loads_and_dumps_with_comments() -> None:
    from tljh.yaml import yaml

    document = yaml.load("# ours\na: [1, 'x']  # here\n")
    document["b"] = {"c": 2}
    written = io.StringIO()
    yaml.dump(document, written)
    assert written.getvalue() == "# ours\na: [1, 'x']  # here\nb:\n  c: 2\n"


def test_load_config_gives_plain_values_with_defaults(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("users: {admin: [alice]}\n")
    config = load_config(str(file))
    assert config["users"]["admin"] == ["alice"]
    assert config["http"]["port"] == 80
    assert config["auth"]["type"] == "firstuseauthenticator.FirstUseAuthenticator"


def test_apply_config_fills_the_configuration_of_jupyterhub() -> None:
    c = JupyterHubConfig()
    apply_config({"limits": {"memory": "42G"}, "users": {"admin": ["alice"]}}, c)
    assert c.SystemdSpawner.mem_limit == "42G"
    assert list(c.Authenticator.admin_users) == ["alice"]


def test_apply_config_fills_what_plugins_of_tljh_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TLJH_INSTALL_PREFIX", str(tmp_path))
    (tmp_path / "state").mkdir()
    (tmp_path / "config").mkdir()
    (tmp_path / "state" / "traefik-api.secret").write_text("made-up\n")
    assert load_config()["traefik_api"]["password"] == "made-up"
    c = JupyterHubConfig()
    apply_config({}, c)
    assert c.Spawner.mem_limit is None
    assert c.Spawner.cpu_limit is None
    assert c.JupyterHub.authenticator_class == "firstuseauthenticator.FirstUseAuthenticator"
    assert c.JupyterHub.base_url == "/"
    assert c.TraefikProxy.traefik_api_password == "made-up"
    c = JupyterHubConfig()
    apply_config(
        {
            "limits": {"memory": "42G", "cpu": 2},
            "base_url": "/custom-base",
            "users": {"admin": ("a", "b")},
            "traefik_api": {"username": "some_user", "password": "1234"},
            "JupyterHub": {"authenticator_class": "dummy"},
        },
        c,
    )
    assert (c.Spawner.mem_limit, c.Spawner.cpu_limit) == ("42G", 2)
    assert c.JupyterHub.base_url == "/custom-base"
    assert c.JupyterHub.authenticator_class == "dummy"
    assert list(c.Authenticator.admin_users) == ["a", "b"]
    assert c.TraefikProxy.traefik_api_username == "some_user"
    assert c.TraefikProxy.traefik_api_password == "1234"


@pytest.mark.parametrize("value", [("a", "b"), {"b", "a"}, ["a", "b"]])
def test_collections_of_any_kind_are_set_as_lists(tmp_path: Path, value: object) -> None:
    file = tmp_path / "config.yaml"
    set_config_value(str(file), "users.admin", value)
    assert file.read_text() == "users:\n  admin:\n    - a\n    - b\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make accounts")
def test_what_there_is_no_account_or_group_of_can_be_removed() -> None:
    remove_user("tljh-nosuch-user")
    remove_group("tljh-nosuch-group")


def test_apply_config_refuses_what_is_wrong() -> None:
    with pytest.raises(TljhError):
        apply_config({"limits": {"memory": "banana"}}, JupyterHubConfig())


def test_config_file_follows_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLJH_INSTALL_PREFIX", "/srv/hub")
    assert configurer.CONFIG_FILE == "/srv/hub/config/config.yaml"
