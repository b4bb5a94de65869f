"""Services, roles, groups and scopes in config.yaml: what is refused, where, and with which fix."""

from __future__ import annotations

import pytest
from jupyterhub.scopes import scope_definitions

from tljh.base.paths import Paths
from tljh.hub.configuration import build_hub_configuration
from tljh.settings.hub_scopes import SCOPES
from tljh.settings.load import check, load

HEAD = "services: {board: {command: [python], port: 9100}}\n"


def test_the_list_of_scopes_is_that_of_the_installed_jupyterhub():
    assert set(scope_definitions) - {"(no_scope)"} == SCOPES


@pytest.mark.parametrize(
    ("text", "line", "what", "fix"),
    [
        (HEAD + "roles: {grader: {scopes: [read:user]}}", 2, "read:user of", "mean read:users?"),
        (HEAD + "roles: {grader: {services: [bord]}}", 2, "bord, which", "did you mean board?"),
        (HEAD + "roles: {grader: {groups: [staff]}}", 2, "staff, which", "set groups.staff '[]'"),
        (HEAD + "roles: {grader: {scopes: ['list:users!foo']}}", 2, "!foo", "!user=NAME"),
        (HEAD + "roles: {grader: {scopes: ['list:users!group=x']}}", 2, "group x", "groups.x"),
        (HEAD + "roles: {admin: {scopes: [self]}}", 2, "admin cannot be", "another name"),
        (HEAD + "roles: {tljh-users: {}}\nx-a: &a 1", 2, "keeps for itself", "another name"),
        ("services:\n  tljh: {url: 'http://1.2.3.4'}", 2, "keeps for itself", "another name"),
        ("services:\n  cull-idle: {url: 'http://1.2.3.4'}", 2, "keeps for", "another name"),
        ("services:\n  Board: {}", 2, "must be a name of", "another name"),
        ("services:\n  board: {prot: 1}", 2, "services.board.prot", "services.board.port?"),
        ("services:\n  culll: {timeout: 1}", 2, "services.culll.timeout", "cull.timeout?"),
        ("services:\n  b: {command: [a], port: 15001}", 2, "the hub's port", "port 9100"),
        ("services:\n  b: {command: [a], port: 99}", 2, "only root", "port 9100"),
        (HEAD[:-2] + ",\n  b: {command: [a], port: 9100}}", 2, "same as services.b", "port 9101"),
        ("services:\n  b: {port: 9100}", 2, "command is not", "services.b.url"),
        ("services:\n  b: {memory: 1G}", 2, "does nothing", "services.b.command"),
        ("services:\n  b: {command: [a], url: 'http://b:1'}", 2, "url is set", "services.b.port"),
        ("services:\n  b: {command: [a], environment: {JUPYTERHUB_USER: x}}", 2, "by tljh", "use"),
        ("services:\n  b: {command: [a], user: root}", 2, "other than root", "unset"),
        (
            "custom_scopes: {'custom:x:read': {description: x, subscopes: ['custom:xy']}}",
            1,
            "xy",
            "",
        ),
        ("roles: {abc: {scopes: ['custom:x:y']}}", 1, "not in custom_scopes", "custom_scopes"),
        (
            "users: {extra_user_groups: {staff: [ann]}}\nroles: {abc: {groups: [staff]}}",
            2,
            "group of Linux accounts only",
            "set groups.staff '[ann]'",
        ),
        (
            "Authenticator: {manage_groups: true}\ngroups: {staff: [ann]}",
            2,
            "makes the hub's groups",
            "unset groups",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_line_and_fix(text, line, what, fix):
    (finding,) = check(text.encode())
    assert finding.where.line == line
    assert what in finding.what and fix in finding.fix


def hub(text: str):
    return build_hub_configuration(load(text.encode()), Paths())["JupyterHub"]


def test_a_service_is_open_to_all_users_by_default():
    traits = hub(HEAD)
    assert traits["extra_user_scopes"] == ["access:services!service=board"]
    (board,) = [each for each in traits["services"] if each["name"] == "board"]
    assert board["url"] == "http://127.0.0.1:9100" and "command" not in board
    own = hub(HEAD + "roles: {user: {scopes: [self]}}")["load_roles"]
    (user,) = [role for role in own if role["name"] == "user"]
    assert user["scopes"] == ["self", "access:services!service=board"]


def test_a_service_for_admins_or_groups_is_closed_to_others():
    closed = hub("services: {board: {command: [python], port: 9100, admin_only: true}}")
    assert "extra_user_scopes" not in closed
    grouped = hub(
        "groups: {tutors: [ann]}\n"
        "services: {board: {command: [python], port: 9100, groups: [tutors]}}"
    )
    assert "extra_user_scopes" not in grouped
    assert {
        "name": "tljh-open-board",
        "scopes": ["access:services!service=board"],
        "groups": ["tutors"],
    } in grouped["load_roles"]
    assert grouped["load_groups"] == {"tutors": {"users": ["ann"]}}


def test_a_service_without_pages_has_no_login():
    traits = hub("services: {job: {command: [python], scopes: [list:users]}}")
    (job,) = [each for each in traits["services"] if each["name"] == "job"]
    assert job == {"name": "job", "display": False}
    assert {"name": "tljh-service-job", "scopes": ["list:users"], "services": ["job"]} in traits[
        "load_roles"
    ]


def test_a_command_may_be_one_text():
    for text in ("python /srv/a.py", "[python /srv/a.py]", "[python, /srv/a.py]"):
        config = load(f"services: {{b: {{command: {text}}}}}".encode())
        assert config.services.own["b"].command == ["python", "/srv/a.py"]
