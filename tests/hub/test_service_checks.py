"""Services, roles and scopes that would end a hub at its start are found before."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config as TraitletsConfig

from tljh.base.errors import Finding
from tljh.base.paths import Paths
from tljh.hub.configuration import build_hub_configuration
from tljh.hub.service_checks import find_service_problems
from tljh.settings.load import load


def findings_of(**traits: Any) -> list[Finding]:
    c = TraitletsConfig()
    c.JupyterHub.update(traits)
    return list(find_service_problems(c, Paths(), []))


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_what_tljh_sets_itself_is_fine() -> None:
    traits = build_hub_configuration(load(b"services: {cull: {users: true}}"), Paths())
    assert findings_of(**traits["JupyterHub"]) == []


def test_services_roles_and_scopes_that_work_are_fine() -> None:
    assert (
        findings_of(
            services=[
                {"name": "course", "url": "http://127.0.0.1:1", "command": ["sleep", "9"]},
                {"name": "elsewhere", "url": "https://example.org", "api_token": "a" * 64},
            ],
            custom_scopes={"custom:course:grade": {"description": "grade"}},
            load_roles=[
                {
                    "name": "graders",
                    "scopes": ["access:services!service=course", "custom:course:grade", "self"],
                    "groups": ["teachers"],
                    "services": ["course"],
                }
            ],
        )
        == []
    )


@pytest.mark.parametrize(
    ("service", "what", "fix"),
    [
        ({"name": "a b"}, "a service has the name 'a b'", "letters"),
        ({"url": "http://127.0.0.1:9"}, "a service has the name ''", "letters"),
        ({"name": "x", "comand": ["a"]}, "no setting comand", "did you mean command?"),
        ({"name": "x", "command": ["/no/such"]}, "is not there: /no/such", "install it"),
        ({"name": "x", "command": "no-such-program -v"}, "no-such-program", "install it"),
        ({"name": "x", "command": ["true"], "cwd": "/no/such"}, "/no/such", "create it"),
        ({"name": "x", "api_token": "short"}, "has 5 characters", "openssl rand"),
        ({"name": "x", "api_token": "a" * 65}, "has 65 characters", "openssl rand"),
    ],
)
def test_service_that_would_not_run_is_refused(
    service: dict[str, Any], what: str, fix: str
) -> None:
    (finding,) = findings_of(services=[service])
    assert what in finding.what
    assert fix in (finding.fix or "")


def test_port_of_another_program_is_refused(taken_port: int) -> None:
    service = {"name": "x", "url": f"http://127.0.0.1:{taken_port}", "command": ["true"]}
    (finding,) = findings_of(services=[service])
    assert f"the port {taken_port} of the service x is in use" in finding.what
    # That program is the service, if the hub does not start one.
    assert findings_of(services=[{"name": "x", "url": f"http://127.0.0.1:{taken_port}"}]) == []


def test_two_services_with_one_port_or_one_name_are_refused() -> None:
    first, second = (
        {"name": name, "url": "http://127.0.0.1:1", "command": ["true"]} for name in ("a", "b")
    )
    (finding,) = findings_of(services=[first, second])
    assert finding.what == "the services a and b both have the port 1"
    (finding,) = findings_of(services=[{"name": "a"}, {"name": "a"}])
    assert finding.what == "there are two services a"


@pytest.mark.parametrize(
    ("role", "what", "fix"),
    [
        ({"name": "ab"}, "a role has the name 'ab'", "rename"),
        ({"name": "Teachers"}, "a role has the name 'Teachers'", "rename"),
        ({"name": "abc", "services": ["corse"]}, "corse, which does not exist", "mean course?"),
        ({"name": "abc", "services": ["zzz"]}, "zzz, which does not exist", "JupyterHub.services"),
        ({"name": "abc", "scopes": ["read:user"]}, "the scope read:user,", "mean read:users?"),
        ({"name": "abc", "scopes": ["custom:zzz"]}, "the scope custom:zzz,", "custom"),
        ({"name": "abc", "scope": ["self"]}, "no setting scope", "did you mean scopes?"),
    ],
)
def test_role_that_would_end_the_hub_is_refused(role: dict[str, Any], what: str, fix: str) -> None:
    (finding,) = findings_of(services=[{"name": "course"}], load_roles=[role])
    assert what in finding.what
    assert fix in (finding.fix or "")


def test_what_a_drop_in_appends_is_checked_too() -> None:
    c = TraitletsConfig()
    c.JupyterHub.services.append({"name": "x", "command": ["/no/such"]})
    c.JupyterHub.extra_user_scopes.update({"read:hubb"})
    findings = list(
        find_service_problems(c, Paths(), [(Path("/a.py"), "c.JupyterHub.services.append")])
    )
    assert ["/no/such" in findings[0].what, "read:hubb" in findings[1].what] == [True, True]
    assert str(findings[0].where) == "/a.py, line 1"


def test_scopes_of_services_and_users_are_checked_too() -> None:
    service = {"name": "x", "oauth_client_allowed_scopes": ["read:user"]}
    (finding,) = findings_of(services=[service])
    assert "the service x has the scope read:user" in finding.what
    (finding,) = findings_of(extra_user_scopes={"acces:servers"})
    assert "did you mean access:servers?" in (finding.fix or "")
