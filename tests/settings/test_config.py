"""From a file to settings: defaults, what is accepted and how it is normalised."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.configurations import real_catalogue
from tljh import config as config_module
from tljh.base.errors import TljhError
from tljh.settings.declaration import Cost
from tljh.settings.keys import setting_keys
from tljh.settings.load import check, examine, load
from tljh.settings.redaction import SECRET_MAP, looks_secret
from tljh.settings.root import Config
from tljh.settings.sections.limits import parse_memory
from tljh.settings.shape import derive_shape, walk


def loaded(text: str) -> Config:
    return load(text.encode(), catalogue=real_catalogue())


@pytest.mark.parametrize("text", ["", "# only a comment\n", "{}\n", "---\n", "\n\n", "null\n"])
def test_file_that_holds_nothing_means_the_defaults(text: str) -> None:
    assert loaded(text) == Config()


def test_missing_file_means_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path / "none.yaml") == Config()


def test_defaults_are_those_of_tljh_but_for_culling_after_an_hour() -> None:
    config = Config()
    assert config.base_url == "/"
    assert config.auth.type == "firstuseauthenticator.FirstUseAuthenticator"
    assert (config.http.address, config.http.port) == ("", 80)
    assert (config.https.enabled, config.https.address, config.https.port) == (False, "", 443)
    assert config.limits.memory == "auto"
    assert config.limits.cpu is None
    api = config.traefik_api
    assert (api.ip, api.port, api.username, api.password) == ("127.0.0.1", 8099, "api_admin", "")
    assert config.user_environment.default_app == "jupyterlab"
    cull = config.services.cull
    assert (cull.enabled, cull.timeout, cull.every, cull.concurrency) == (True, 3600, 60, 5)
    assert (cull.users, cull.max_age, cull.remove_named_servers) == (False, 0, False)


@pytest.mark.parametrize(
    ("written", "held"),
    [
        ("4G", "4G"),
        ("4GB", "4G"),
        ("4 GiB", "4G"),
        ("4g", "4G"),
        ("512m", "512M"),
        ("1.5G", "1.5G"),
        ("4294967296", "4G"),
        ("'2T'", "2T"),
        ("null", None),
        ("None", None),
    ],
)
def test_common_spellings_of_memory_are_normalised(written: str, held: str | None) -> None:
    assert loaded(f"limits: {{memory: {written}}}").limits.memory == held


@given(st.integers(min_value=32 << 20, max_value=1 << 45))
def test_bytes_become_a_spelling_of_at_least_as_much_memory(size: int) -> None:
    held = loaded(f"limits: {{memory: {size}}}").limits.memory
    assert held is not None
    assert 0 <= parse_memory(held) - size < 1024


@pytest.mark.parametrize("word", ["yes", "on", "True", "true", "TRUE"])
def test_words_for_true_are_true_where_the_schema_wants_a_truth_value(word: str) -> None:
    assert loaded(f"services: {{cull: {{users: {word}}}}}").services.cull.users is True


@pytest.mark.parametrize("word", ["00123456", "1e3", "yes", "0x1F", "3.10", "2026-01-01", "1_000"])
def test_text_stays_as_it_was_written(word: str) -> None:
    config = loaded(f"auth:\n  type: dummy\n  DummyAuthenticator:\n    password: {word}\n")
    assert config.auth.classes["DummyAuthenticator"]["password"] == word
    assert loaded(f"users: {{admin: [{word}]}}").users.admin == [word.lower()]


def test_people_are_known_by_the_lower_case_names_that_the_hub_gives_them() -> None:
    users = loaded("users: {admin: [Ada], allowed: [BOB], extra_user_groups: {g: [Bob]}}").users
    assert (users.admin, users.allowed, users.extra_user_groups) == (
        ["ada"],
        ["bob"],
        {"g": ["bob"]},
    )


@pytest.mark.parametrize("recipient", ["root", "root@localhost", "ann.b+hub@lab.example.org"])
def test_alerts_go_to_addresses_and_to_accounts_of_the_machine(recipient: str) -> None:
    settings = load(f"alerts: {{mail: {{to: [{recipient}]}}}}".encode())
    assert settings.alerts.mail.to == [recipient]


def test_section_with_nothing_in_it_means_its_defaults() -> None:
    assert loaded("users:\nhttp:\n  # port: 81\nauth:\n  type: pam\n").users.admin == []


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    text = "users:\n  admin: bob\nhttp:\n  prot: 1\n  port: 0\nbase_url: x\n"
    lines = [f.where.line for f in check(text.encode()) if f.where]
    assert lines == [2, 4, 5, 6]


def test_misspelled_setting_is_reported_with_its_line_and_the_nearest_name() -> None:
    (finding,) = check(b"users:\n  admins: [a]\n", path="/c.yaml")
    assert str(finding.where) == "/c.yaml, line 2, column 3"
    assert finding.fix == "did you mean users.admin?"


def test_load_raises_with_every_finding() -> None:
    with pytest.raises(TljhError) as refused:
        loaded("http: {port: 0}\nusers: {admin: bob}\n")
    assert len(refused.value.findings) == 2


def test_classes_are_handed_on_and_secrets_may_be_files() -> None:
    config = loaded(
        "auth:\n  type: github\n  GitHubOAuthenticator:\n"
        "    client_id: abc\n    client_secret: {file: /root/secret}\n    allow_all: true\n"
        "JupyterHub:\n  active_server_limit: 50\n"
    )
    assert config.auth.classes["GitHubOAuthenticator"]["client_secret"] == {"file": "/root/secret"}
    assert config.traitlets == {"JupyterHub": {"active_server_limit": 50}}


def test_classes_without_a_catalogue_are_taken_with_a_warning() -> None:
    examined = examine(b"JupyterHub: {anything: 1}\n")
    assert examined.findings("error", "incomplete") == []
    (warning,) = examined.findings("warning")
    assert "not checked" in warning.what


@pytest.mark.parametrize(
    "name",
    [
        "github",
        "native",
        "pam",
        "oauthenticator.github.GitHubOAuthenticator",
        "oauthenticator.GitHubOAuthenticator",
        "firstuseauthenticator.FirstUseAuthenticator",
        "nativeauthenticator.NativeAuthenticator",
        "jupyterhub.auth.PAMAuthenticator",
        "tmpauthenticator.TmpAuthenticator",
        "ldapauthenticator.LDAPAuthenticator",
    ],
)
def test_authenticators_are_known_by_their_short_names_and_paths(name: str) -> None:
    assert loaded(f"auth: {{type: {name}}}").auth.type == name


def test_authenticator_that_moved_is_named_by_its_new_place() -> None:
    text = b"auth: {type: dummyauthenticator.DummyAuthenticator}\n"
    (finding,) = check(text, catalogue=real_catalogue())
    assert finding.fix == "sudo tljh-config set auth.type jupyterhub.auth.DummyAuthenticator"


def test_section_of_a_plugin_is_allowed_by_name_and_kept_as_it_is() -> None:
    config = loaded("plugins: {sections: [mine]}\nmine: {a: [1, x]}\n")
    assert config.plugin_sections == {"mine": {"a": [1, "x"]}}


def test_section_that_a_plugin_declares_is_checked_by_its_model() -> None:
    from tljh.settings.declaration import Section, setting

    class Mine(Section):
        size: int = setting(1, help="How large.", cost=Cost.NOTHING, ge=1)

    findings = check(b"mine: {size: 0, colour: red}\n", plugin_sections={"mine": Mine})
    assert [finding.what for finding in findings] == [
        "mine.size must be at least 1, not 0",
        "there is no setting mine.colour",
    ]


def test_anchors_may_be_kept_below_names_that_begin_with_x() -> None:
    config = loaded("x-people: &people [alice, bob]\nusers: {admin: *people, allowed: *people}\n")
    assert config.users.admin == config.users.allowed == ["alice", "bob"]


def test_http_and_https_ports_may_be_equal_while_https_is_off() -> None:
    assert loaded("http: {port: 443}").http.port == 443


def test_every_setting_has_one_sentence_of_help_and_a_cost() -> None:
    costs = {cost.value for cost in Cost}
    for path, shape in walk(derive_shape(Config)):
        info = shape.declaration
        assert info is not None
        assert info.description, path
        assert info.description.endswith("."), path
        if shape.kind != "section":
            assert isinstance(info.json_schema_extra, dict)
            assert info.json_schema_extra["cost"] in costs, path


def test_every_setting_has_a_type() -> None:
    assert [path for path, shape in walk(derive_shape(Config)) if shape.kind == "any"] == []


def test_type_that_is_defined_below_its_section_is_refused() -> None:
    from tljh.settings.declaration import Section, setting

    class Mine(Section):
        size: "Size" = setting(None, help="How large.", cost=Cost.NOTHING)  # noqa: F821, UP037

    with pytest.raises(TypeError, match="Size"):
        derive_shape(Mine)


def test_every_secret_setting_has_a_name_by_which_it_is_hidden() -> None:
    for path, shape in walk(derive_shape(Config)):
        is_secret = shape.kind in ("text", "list") and looks_secret(path[-1])
        assert shape.secret == (is_secret or path[-1] == SECRET_MAP), path


def test_every_default_is_a_value_that_its_setting_takes() -> None:
    assert Config.model_validate(Config().model_dump()) == Config()
    assert len(setting_keys(Config)) > 30


def test_nothing_is_read_or_written_when_the_module_is_imported() -> None:
    environ = {"PATH": os.environ["PATH"], "TLJH_INSTALL_PREFIX": "/nowhere"}
    code = (
        "import tljh.config as c, os; os.environ['TLJH_INSTALL_PREFIX'] = '/x'; print(c.STATE_DIR)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "/x/state"


def test_names_for_plugins_follow_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLJH_INSTALL_PREFIX", "/srv/hub")
    assert config_module.INSTALL_PREFIX == "/srv/hub"
    assert config_module.HUB_ENV_PREFIX == "/srv/hub/hub"
    assert config_module.USER_ENV_PREFIX == "/srv/hub/user"
    assert config_module.CONFIG_DIR == "/srv/hub/config"
    assert config_module.CONFIG_FILE == "/srv/hub/config/config.yaml"
    with pytest.raises(AttributeError):
        _ = config_module.NO_SUCH_NAME


@given(st.binary(max_size=200))
def test_any_bytes_are_settings_or_findings_and_never_a_crash(data: bytes) -> None:
    examine(data, catalogue=None)


@given(st.text(alphabet="abhtpsu:{}[]&*!|>-'\"#%@` \n\t,0189.<~", max_size=80))
def test_any_text_that_looks_like_yaml_is_settings_or_findings(text: str) -> None:
    examine(text.encode(), catalogue=None)
