"""Changes of values as people read them: by key, and without a secret."""

from __future__ import annotations

import json

import pytest

from tljh.settings.redaction import redact_code
from tljh.settings.value_changes import compare_code, compare_json


def lines(old: object, new: object) -> list[str]:
    return compare_json(json.dumps(old).encode(), json.dumps(new).encode())


def test_a_changed_value_is_named_by_its_key():
    old = {"JupyterHub": {"cookie_max_age_days": 7, "hub_port": 15001}}
    new = {"JupyterHub": {"cookie_max_age_days": 1, "hub_port": 15001}}
    assert lines(old, new) == ["JupyterHub.cookie_max_age_days  7 -> 1"]


def test_of_a_list_only_what_changes_is_shown():
    old = {"Authenticator": {"allowed_users": ["alice", "bob"]}}
    new = {"Authenticator": {"allowed_users": ["alice", "mrs smith"]}}
    assert lines(old, new) == ["Authenticator.allowed_users  -bob +mrs smith"]


def test_a_long_list_ends_with_a_count():
    (line,) = lines({"a": {"b": []}}, {"a": {"b": [f"student{n}" for n in range(300)]}})
    assert line.endswith("+student9 +290 more")


@pytest.mark.parametrize(
    ("old", "new", "word"), [({}, "s3cr3t", "set"), ("0ld", "s3cr3t", "changed"), ("0ld", {}, "")]
)
def test_a_secret_is_named_and_never_shown(old, new, word):
    def section(value):
        return {"GitHubOAuthenticator": {"client_secret": value} if value else {}}

    (line,) = lines(section(old), section(new))
    assert line.startswith("GitHubOAuthenticator.client_secret  ")
    assert word in line
    assert "s3cr3t" not in line
    assert "0ld" not in line


def test_secrets_deep_in_a_list_are_masked():
    services = [{"name": "x", "api_token": "s3cr3t"}]
    (line,) = lines({"JupyterHub": {}}, {"JupyterHub": {"services": services}})
    assert "s3cr3t" not in line


@pytest.mark.parametrize(
    "code",
    [
        'c.GitHubOAuthenticator.client_secret = "s3cr3t"',
        "c.X.options = {'host': 'a', 'password': 's3cr3t'}",
        'c.JupyterHub.services = [dict(name="x", api_token="s3cr3t")]',
        'os.environ["API_TOKEN"] = "s3cr3t"',
        'c.JupyterHub.db_url = "postgresql://hub:s3cr3t@db/hub"',
    ],
)
def test_secrets_in_a_drop_in_are_masked(code):
    assert "s3cr3t" not in redact_code(code)
    assert "s3cr3t" not in "\n".join(compare_code(b"", code.encode()))


def test_other_lines_of_a_drop_in_are_shown_as_they_are():
    code = 'c.JupyterHub.template_paths = ["/srv/templates"]\nif a == "b":\n    x = {"c": 1}\n'
    assert redact_code(code) == code


def test_a_drop_in_in_which_only_a_secret_changes_says_so():
    assert compare_code(b'c.A.client_secret = "0ld"', b'c.A.client_secret = "n3w"') == [
        "a secret changes (not shown)"
    ]
