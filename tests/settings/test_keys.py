"""Keys are split by the schema; values are read by its types."""

from __future__ import annotations

from typing import Any

import pytest

from tests.configurations import real_catalogue
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.settings.command_line_values import read_value
from tljh.settings.config_file import ConfigFile
from tljh.settings.keys import format_key, parse_key, setting_keys
from tljh.settings.root import Config
from tljh.settings.shape import ANYTHING, derive_shape

FILE = ConfigFile(Paths().config_file, catalogue=real_catalogue())


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("http.port", ("http", "port")),
        ("users.extra_user_groups.a.b", ("users", "extra_user_groups", "a.b")),
        ('users.extra_user_groups."a.b"', ("users", "extra_user_groups", "a.b")),
        ("users.extra_user_groups.'a b'", ("users", "extra_user_groups", "a b")),
        ("limits.users.bob.memory", ("limits", "users", "bob", "memory")),
        ("limits.users.bob.smith.memory", ("limits", "users", "bob.smith", "memory")),
        ("limits.users.a@b.org", ("limits", "users", "a@b.org")),
        ("limits.groups.a.b.memroy", ("limits", "groups", "a.b", "memroy")),
        ('limits.users."a.b".memory', ("limits", "users", "a.b", "memory")),
        ("auth.GitHubOAuthenticator.client_id", ("auth", "GitHubOAuthenticator", "client_id")),
        ('Spawner.environment."A.B"', ("Spawner", "environment", "A.B")),
    ],
)
def test_key_is_split_by_what_the_schema_has_there(key: str, path: tuple[str, ...]) -> None:
    assert parse_key(key, derive_shape(Config)) == path


@pytest.mark.parametrize("key", ["", ".", "a.", ".a", "a..b", 'a."b', "a.'b'c"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(TljhError):
        parse_key(key, derive_shape(Config))


@pytest.mark.parametrize("key", setting_keys(Config))
def test_every_key_reads_back_from_its_text(key: str) -> None:
    assert format_key(parse_key(key, derive_shape(Config))) == key


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("traefik_api.password", "00123456", "00123456"),
        ("traefik_api.password", "1e3", "1e3"),
        ("traefik_api.password", "yes", "yes"),
        ("traefik_api.password", "null", "null"),
        ("traefik_api.password", "[a, b]", "[a, b]"),
        ("traefik_api.password", "-x", "-x"),
        ("traefik_api.password", "", ""),
        ("auth.GitHubOAuthenticator.client_id", "0042", "0042"),
        ("auth.NoSuchClass.password", "0042", "0042"),
        ("auth.NoSuchClass.number", "42", 42),
        ("http.port", "8080", 8080),
        ("limits.cpu", "0.5", 0.5),
        ("limits.cpu", "2", 2),
        ("limits.cpu", "None", None),
        ("limits.memory", "None", None),
        ("limits.memory", "4GB", "4GB"),
        ("https.enabled", "true", True),
        ("https.enabled", "Yes", True),
        ("https.enabled", "off", False),
        ("https.mode", "null", None),
        ("users.admin", "alice", ["alice"]),
        ("users.admin", "123", ["123"]),
        ("users.admin", "[alice, 123, a@b.org]", ["alice", "123", "a@b.org"]),
        ("users.admin", '["alice"]', ["alice"]),
        ("users.admin", "- alice\n- bob", ["alice", "bob"]),
        ("users.extra_user_groups", "{docker: [a, 12]}", {"docker": ["a", "12"]}),
        ("users.extra_user_groups.docker", "alice", ["alice"]),
        ("http", "{port: 81, address: 127.0.0.1}", {"port": 81, "address": "127.0.0.1"}),
        ("JupyterHub.active_server_limit", "50", 50),
        ("JupyterHub.load_roles", "[{name: a, scopes: []}]", [{"name": "a", "scopes": []}]),
        ("Spawner.mem_limit", "4G", "4G"),
        ("auth.GitHubOAuthenticator.client_secret", "{file: /s}", {"file": "/s"}),
        ("auth.GitHubOAuthenticator.client_secret.file", "/s", "/s"),
        ("auth.GitHubOAuthenticator.client_secret", "{file: /s, x: y}", "{file: /s, x: y}"),
        ("auth.NoSuchClass.password", "{file: /s}", {"file": "/s"}),
        ("auth.NoSuchClass.password.file", "/s", "/s"),
        ("traefik_api.password", "{file: /s}", "{file: /s}"),
        ("Spawner.environment", '{"A": "1"}', {"A": "1"}),
    ],
)
def test_value_is_read_by_the_type_of_the_setting(key: str, text: str, value: Any) -> None:
    path, shape = FILE.look_up(key) if "NoSuch" not in key else (FILE.parse_key(key), None)
    if shape is None:
        shape = ConfigFile(FILE.path).find_shape_at(path) or ANYTHING
    result = read_value(text, shape, key)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("http.port", "eighty"),
        ("http.port", "1e3"),
        ("http.port", "80.0"),
        ("http.port", ""),
        ("https.enabled", "maybe"),
        ("https.enabled", "1"),
        ("limits.cpu", "inf"),
        ("limits.cpu", "two"),
        ("users.admin", "[alice"),
        ("users.admin", "null"),
        ("users.admin", "None"),
        ("users.extra_user_groups.docker", "~"),
        ("users.extra_user_groups", "docker"),
        ("http", "80"),
    ],
)
def test_value_of_another_type_is_refused_in_a_sentence(key: str, text: str) -> None:
    _, shape = FILE.look_up(key)
    with pytest.raises(TljhError) as refused:
        read_value(text, shape, key)
    assert refused.value.findings[0].what.startswith(f"{key} must be ")


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("http.prot", "did you mean http.port?"),
        ("users.admins", "did you mean users.admin?"),
        ("cull.timeout", "did you mean services.cull.timeout?"),
        ("JupyterHub.active_server_limt", "did you mean JupyterHub.active_server_limit?"),
        ("auth.tpye", "did you mean auth.type?"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest(key: str, fix: str) -> None:
    with pytest.raises(TljhError) as refused:
        FILE.look_up(key)
    assert refused.value.findings[0].fix == fix
