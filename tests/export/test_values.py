"""The chart's values for hubs of many kinds, checked by its schema and by its JupyterHub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.export.chart import (
    find_schema_errors,
    has_value,
    make_order,
    merge_over_defaults,
    read_yaml,
    run_hubs,
)
from tests.export.hubs import CONFIGURATIONS, make_hub
from tljh.export.mapping import ROWS, list_setting_keys, values_of
from tljh.export.values import Values, format_yaml, list_leaves
from tljh.settings.root import Config

NAMES = list(CONFIGURATIONS)


def export(text: str, **facts: Any) -> tuple[Values, dict[str, Any]]:
    """Return the values of a hub, and what helm reads of their files over the chart's own."""
    values = values_of(make_hub(text, **facts))
    plain = read_yaml(format_yaml(values.plain, "")) or {}
    secret = read_yaml(format_yaml(values.secret, "")) or {}
    return values, merge_over_defaults(plain, secret)


def test_every_setting_has_one_row() -> None:
    keys = [row.key for row in ROWS]
    missing = [key for key in list_setting_keys(Config) if key not in keys]
    assert not missing, f"say in tljh/export where these go, or why not: {missing}"
    assert len(keys) == len(set(keys))
    assert all(row.to or row.note for row in ROWS)
    more = {"Spawner.environment", "jupyterhub_config.d/NAME"}
    assert set(keys) - set(list_setting_keys(Config)) == more


def test_the_chart_has_every_value_that_a_row_names() -> None:
    for row in ROWS:
        for path in row.to:
            assert path.startswith("<") or has_value(path), path


@pytest.mark.parametrize("name", NAMES)
def test_each_value_is_named_by_a_row(name: str) -> None:
    values, _ = export(CONFIGURATIONS[name])
    targets = [to.split(".") for row in ROWS for to in row.to]
    for path in values.list_paths():
        assert any(_covers(target, path) for target in targets), path


def _covers(target: list[str], path: tuple[str, ...]) -> bool:
    return len(path) >= len(target) and all(
        want in ("NAME", "CLASS", "TRAIT", have) for want, have in zip(target, path, strict=False)
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_files_say_the_same_to_every_version_of_yaml(name: str) -> None:
    values, _ = export(CONFIGURATIONS[name])
    for tree in (values.plain, values.secret):
        text = format_yaml(tree, "# heading\n")
        assert (read_yaml(text) or {}) == tree


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_of_the_chart_accepts_the_values(name: str) -> None:
    _, merged = export(CONFIGURATIONS[name])
    assert find_schema_errors(merged) == []


@pytest.mark.parametrize("name", NAMES)
def test_secrets_are_in_their_own_file_only(name: str) -> None:
    values, _ = export(CONFIGURATIONS[name])
    text = format_yaml(values.plain, "") + "".join(values.decisions) + str(values.notes)
    for secret in ("s3cret", "ab" * 32, "a" * 64, "MIIC-the-key", "class-word-1", "admin-word"):
        assert secret not in text
    for path in list_leaves(values.secret):
        assert values.find(path) is None


# Its server does not exist.
BOOTED = [name for name in NAMES if name != "PostgreSQL"]


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Run the chart's hub once for each configuration; return its answers by name."""
    orders = []
    for name in BOOTED:
        people = sorted({"ann", "teacher", "stranger", *PODS.get(name, ())})
        _, merged = export(CONFIGURATIONS[name])
        directory = tmp_path_factory.mktemp("hub")
        orders.append(make_order(merged, directory, people=people, pods=PODS.get(name, [])))
    return dict(zip(BOOTED, run_hubs(orders), strict=True))


# Users whose pods are described.
PODS = {
    "lab with GitHub": ["pi", "ann@example.org", "2bob"],
    "braces": ["ann"],
    "shared folders": ["ann", "bob"],
}


@pytest.mark.parametrize("name", BOOTED)
def test_the_hub_of_the_chart_loads_every_trait(name: str, booted: dict[str, Any]) -> None:
    assert "failure" not in booted[name], booted[name]["failure"]
    assert booted[name]["warnings"] == []


def test_pods_have_the_limits_of_their_user(booted: dict[str, Any]) -> None:
    answer = booted["lab with GitHub"]
    pods = answer["pods"]
    gib = 1 << 30
    # pi is in staff; the others have own limits.
    assert pods["pi"]["limits"] == {"cpu": 4, "memory": 8 * gib}
    assert pods["pi"]["capacity"] == "50Gi"
    assert pods["ann@example.org"]["limits"] == {"cpu": 4, "memory": 16 * gib}
    assert pods["2bob"]["limits"] == {"cpu": 0.05}
    for pod in pods.values():
        assert pod["requests"]["memory"] <= pod["limits"].get("memory", gib)
        assert pod["requests"]["cpu"] <= pod["limits"]["cpu"]
    # Named servers share the home.
    assert pods["ann@example.org"]["claim"] == "claim-ann-example-org---438c4c7a"
    assert pods["2bob"]["claim"] == "claim-x-2bob---31fd94fb"
    assert answer["authenticator"] == "GitHubOAuthenticator"


def test_starts_at_once_are_limited_as_here() -> None:
    _, merged = export(CONFIGURATIONS["lab with GitHub"])
    assert merged["hub"]["concurrentSpawnLimit"] == 8
    assert merged["hub"]["namedServerLimitPerUser"] == 3
    _, merged = export("")
    assert merged["hub"]["concurrentSpawnLimit"] == 64
    assert merged["hub"]["allowNamedServers"] is False


def test_users_who_were_not_added_stay_out(booted: dict[str, Any]) -> None:
    access = booted["class with first use"]["access"]
    assert access == {"ann": True, "stranger": False, "teacher": True}
    assert booted["empty"]["access"]["stranger"] is False
    assert booted["first use, open"]["access"]["stranger"] is True


def test_variables_are_as_written_with_braces(booted: dict[str, Any]) -> None:
    environment = booted["braces"]["pods"]["ann"]["environment"]
    assert environment["GREETING"] == "{username} {}"
    assert (environment["NUMBER"], environment["yes"]) == ("5", "on")
    assert booted["braces"]["pods"]["ann"]["limits"]["memory"] == 512 << 20
    assert booted["braces"]["pods"]["ann"]["requests"]["memory"] == 512 << 20


def test_shared_folders_are_mounted_for_their_group(booted: dict[str, Any]) -> None:
    pods = booted["shared folders"]["pods"]
    assert "/srv/shared/course" in pods["ann"]["mounts"]
    assert "/srv/shared/course" not in pods["bob"]["mounts"]
    assert all("/srv/shared/Data.2" in pod["mounts"] for pod in pods.values())
    assert all("/home/jovyan" in pod["mounts"] for pod in pods.values())


def test_rights_are_those_of_the_hub(booted: dict[str, Any]) -> None:
    answer = booted["services and roles"]
    roles = answer["roles"]
    grader = roles["grader"]
    assert grader["users"] == ["ann"]
    assert grader["groups"] == ["tutors"]
    assert grader["services"] == ["url-service"]
    assert "access:services!service=url-service" in grader["scopes"]
    assert "servers" in grader["scopes"]
    assert roles["jupyterhub-idle-culler"]["services"] == ["jupyterhub-idle-culler"]
    assert "access:services!service=board" in roles["user"]["scopes"]
    assert {"board", "url-service", "timer"} <= set(answer["services"])
    assert answer["groups"]["tutors"] == ["ann"]


def test_the_page_of_settings_is_not_stale() -> None:
    from tljh.export.reference import NAME, format_page

    page = Path(__file__).parents[2] / "docs" / "reference" / NAME
    assert page.read_text() == format_page(), f"{page} is stale: run `make reference`"
