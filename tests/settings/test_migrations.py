"""Old names of settings: what an upgrade makes of a config.yaml that has them."""

from __future__ import annotations

import pytest

from tljh.settings import migrations
from tljh.settings.load import examine
from tljh.settings.migrations import Migration, migrate_configuration, migrate_settings

RENAMED = Migration("0.2.0", ("services", "cull", "every"), ("services", "cull", "interval"))
MOVED = Migration("0.2.0", ("cull_every",), ("services", "cull", "every"))
REMOVED = Migration("0.3.0", ("limits", "api_token"), why="limits are per user")
NOTE = "# services.cull.every was renamed to services.cull.interval in tljh 0.2.0"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "services:\n  cull:\n    every: 30  # short\n    timeout: 5\n",
            f"services:\n  cull:\n    {NOTE}\n    interval: 30  # short\n    timeout: 5\n",
        ),
        (
            "services: {cull: {every: 30}}\n",
            f"{NOTE}\nservices: {{cull: {{interval: 30}}}}\n",
        ),
        ("services:\n  cull:\n    timeout: 5\n", "services:\n  cull:\n    timeout: 5\n"),
        ("", ""),
    ],
)
def test_a_renamed_setting_keeps_its_value_and_gets_a_comment(old, new):
    assert migrate_settings(old, [RENAMED]).text == new


def test_a_setting_that_is_there_under_both_names_keeps_the_new_one():
    text = "services:\n  cull:\n    every: 30\n    interval: 60\n"
    migrated = migrate_settings(text, [RENAMED])
    assert migrated.text == f"services:\n  cull:\n    {NOTE}; it was 30\n    interval: 60\n"


def test_a_setting_that_moves_to_another_section_moves_with_its_value():
    migrated = migrate_settings("cull_every: 30\nhttp:\n  port: 81\n", [MOVED])
    assert examine(migrated.text.encode()).config.services.cull.every == 30
    assert migrated.diff == ("- cull_every: 30", "+ services.cull.every: 30")


def test_two_renames_of_one_setting_follow_each_other():
    migrated = migrate_settings("cull_every: 30\n", [MOVED, RENAMED])
    assert [migration.old for migration in migrated.applied] == [MOVED.old, RENAMED.old]
    assert "interval: 30" in migrated.text


def test_a_removed_secret_is_shown_nowhere():
    migrated = migrate_settings("limits:\n  api_token: geheim\n", [REMOVED])
    assert "geheim" not in migrated.text + "".join(migrated.diff)
    assert "was removed in tljh 0.3.0: limits are per user" in migrated.text


def test_a_file_that_is_no_yaml_is_left_to_the_reader_of_settings(monkeypatch):
    monkeypatch.setattr(migrations, "MIGRATIONS", (RENAMED,))
    for data in (b"a: [1\n", b"\xff\xfe", b"- 1\n"):
        assert migrate_configuration(data) == data


def test_an_old_name_in_an_edit_is_refused_with_the_new_one(monkeypatch):
    monkeypatch.setattr(migrations, "MIGRATIONS", (MOVED,))
    (problem,) = examine(b"cull_every: 30\n").problems
    assert "renamed to services.cull.every in tljh 0.2.0" in str(problem.fix)
