"""Bringing a YAML text to other values with few edits."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh.settings.yaml_changes import MISSING, change_values, read_value_at
from tljh.settings.yaml_edit import set_value
from tljh.settings.yaml_parse import parse

TEXT = """\
# ours
users:
    admin: # the boss
        - ada
    allowed: [alice, bob]
limits:
    memory: "2G"  # quoted
course:
    week: 3
"""


def values_of(text: str) -> dict[str, Any]:
    root = parse(text).root
    assert root is not None
    return dict(root.value())


def changed_lines(before: str, after: str) -> set[str]:
    return set(before.splitlines()) ^ set(after.splitlines())


def test_a_value_is_found_or_missing() -> None:
    assert read_value_at(TEXT, ("users", "admin")) == ["ada"]
    assert read_value_at(TEXT, ("users", "banned")) is MISSING
    assert read_value_at("a: null\n", ("a",)) is None
    assert read_value_at("", ("a",)) is MISSING


def test_the_same_values_change_no_character() -> None:
    assert change_values(TEXT, values_of(TEXT)) == TEXT


def test_an_item_of_a_list_is_one_line_at_the_indentation_of_the_file() -> None:
    values = values_of(TEXT)
    values["users"]["admin"].append("bob")
    assert changed_lines(TEXT, change_values(TEXT, values)) == {"        - bob"}


def test_values_are_added_changed_and_removed_where_they_are() -> None:
    values = values_of(TEXT)
    values["course"]["week"] = 4
    values["course"]["room"] = {"name": "B3"}
    del values["limits"]
    after = change_values(TEXT, values)
    assert values_of(after) == values
    assert "# ours" in after
    assert "admin: # the boss" in after
    assert "allowed: [alice, bob]" in after


def test_text_that_an_anchor_shares_is_changed_in_its_own_place_only() -> None:
    text = "a: &x\n  b: 1\n  c: [1]\nd: *x\n"
    values = values_of(text)
    values["d"] = {"b": 2, "c": [1, 2]}
    after = change_values(text, values)
    assert values_of(after) == values


class Name(str):
    """A subclass, as a YAML library or a plugin may hand it over."""


@pytest.mark.parametrize(
    ("value", "plain"),
    [(Name("x"), "x"), ((1, 2), [1, 2]), ({3, 1}, [1, 3]), (True, True), ({1: {}}, {"1": {}})],
)
def test_values_of_any_code_become_plain_yaml(value: object, plain: object) -> None:
    assert values_of(change_values("", {"a": value})) == {"a": plain}


names = st.sampled_from("abc")
scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["x", "yes", "1", ""])
inner = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(names, below, max_size=3),
    max_leaves=6,
)
documents = st.dictionaries(names, inner, max_size=3)


def without_empty_maps(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    kept = {key: without_empty_maps(below) for key, below in value.items()}
    return {key: below for key, below in kept.items() if below != {}}


@given(documents, documents)
def test_any_values_become_any_others(before: dict[str, Any], after: dict[str, Any]) -> None:
    text = ""
    for key, value in before.items():
        text = set_value(text, (key,), value)
    desired = deepcopy(after)
    edited = change_values(text, after)
    assert after == desired
    root = parse(edited).root
    values = root.value() if root is not None and not root.is_null else {}
    assert without_empty_maps(values) == without_empty_maps(desired)
