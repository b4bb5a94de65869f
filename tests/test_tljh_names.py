"""Names of TLJH's that plugins and old configurations use for the configuration."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from traitlets.config import Config as JupyterHubConfig

from tljh import configurer
from tljh.configurer import apply_config, load_config
from tljh.errors import TljhError


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


def test_apply_config_refuses_what_is_wrong() -> None:
    with pytest.raises(TljhError):
        apply_config({"limits": {"memory": "banana"}}, JupyterHubConfig())


def test_config_file_follows_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLJH_INSTALL_PREFIX", "/srv/hub")
    assert configurer.CONFIG_FILE == "/srv/hub/config/config.yaml"
