"""Edits leave every other character of the file where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tljh.base.errors import TljhError
from tljh.settings.yaml_edit import add_item, remove_item, set_value, unset_value
from tljh.settings.yaml_parse import parse
from tljh.settings.yaml_text import format_flow, format_scalar

ADMIN = ("users", "admin")

TEXT = """\
# Our hub.
users:
  # the bosses
  admin:   # two of them
  - alice   # first
  - "bob"
  allowed: [x, 'y']   # a class
http: {port: 80}   # inside only
limits: &limits
  memory: '1G'  # each
  cpu: 2
x-copy: *limits
x-merged:
  <<: *limits
  z: 1
empty:
https:
    enabled: false # not yet

    tls:
        cert: /x
notes: |
  a: b
  # no comment
last: 1
# the end
"""


def changed_lines(after: str) -> tuple[list[str], list[str]]:
    """Lines that went and lines that came, order kept."""
    import difflib

    diff = [
        line
        for line in difflib.ndiff(TEXT.splitlines(), after.splitlines())
        if line[:2] in ("- ", "+ ")
    ]
    gone = [line[2:] for line in diff if line[0] == "-"]
    return gone, [line[2:] for line in diff if line[0] == "+"]


@pytest.mark.parametrize(
    ("path", "value", "gone", "came"),
    [
        (
            ("http", "port"),
            8080,
            "http: {port: 80}   # inside only",
            "http: {port: 8080}   # inside only",
        ),
        (
            ("http", "address"),
            "127.0.0.1",
            "http: {port: 80}   # inside only",
            "http: {port: 80, address: 127.0.0.1}   # inside only",
        ),
        (("https", "enabled"), True, "    enabled: false # not yet", "    enabled: true # not yet"),
        (("https", "tls", "key"), "/y", None, "        key: /y"),
        (("empty",), 3, "empty:", "empty: 3"),
        (("last",), "two words", "last: 1", "last: two words"),
        (
            ("users", "allowed"),
            ["z"],
            "  allowed: [x, 'y']   # a class",
            "  allowed: [z]   # a class",
        ),
        (("notes",), "short", "notes: |\n  a: b\n  # no comment", "notes: short"),
        (
            ("users", "admin"),
            [],
            '  admin:   # two of them\n  - alice   # first\n  - "bob"',
            "  admin: []   # two of them",
        ),
        (("x-merged", "cpu"), 3, None, "  cpu: 3"),
        (("base_url",), "/hub", None, "base_url: /hub"),
        (("x-copy", "cpu"), 3, "x-copy: *limits", "x-copy:\n  memory: 1G\n  cpu: 3"),
    ],
)
def test_setting_changes_only_the_lines_of_the_key(
    path: tuple[str, ...], value: Any, gone: str | None, came: str
) -> None:
    went, arrived = changed_lines(set_value(TEXT, path, value))
    assert went == (gone.split("\n") if gone else [])
    assert arrived == came.split("\n")


def test_quotes_that_were_there_are_kept() -> None:
    assert set_value("a: 'x'  # c\n", ("a",), "y") == "a: 'y'  # c\n"
    assert set_value('a: "x"  # c\n', ("a",), "y") == 'a: "y"  # c\n'


def test_new_sections_come_at_the_end_and_lists_over_several_lines() -> None:
    after = set_value("a: 1\n# end\n", ("https", "letsencrypt", "domains"), ["a.example.org"])
    assert after.startswith("a: 1\n")
    assert "https:\n  letsencrypt:\n    domains:\n      - a.example.org\n" in after
    assert "# end\n" in after


@pytest.mark.parametrize("text", ["", "# c\n", "{}\n", "---\n", "---\n# c\n", "a: 1", "null\n"])
def test_setting_works_in_a_file_that_holds_little(text: str) -> None:
    after = set_value(text, ("b", "c"), 1)
    root = parse(after).root
    assert root is not None
    assert root.value()["b"] == {"c": 1}
    assert "# c" in after or "# c" not in text


def test_line_ends_of_windows_are_kept() -> None:
    assert (
        set_value("a: 1\r\nb:\r\n  c: 2\r\n", ("b", "d"), 3) == "a: 1\r\nb:\r\n  c: 2\r\n  d: 3\r\n"
    )


def test_anchor_that_others_use_is_not_changed_behind_their_back() -> None:
    with pytest.raises(TljhError) as refused:
        set_value(TEXT, ("limits", "cpu"), 3)
    assert "shared" in str(refused.value)
    assert set_value(TEXT, ("http", "port"), 1).count("*limits") == 2


def test_item_is_added_like_its_neighbours() -> None:
    assert changed_lines(add_item(TEXT, ("users", "admin"), "eve")) == ([], ["  - eve"])
    _went, came = changed_lines(add_item(TEXT, ("users", "allowed"), "a, b"))
    assert came == ["  allowed: [x, 'y', 'a, b']   # a class"]
    assert changed_lines(add_item(TEXT, ("users", "banned"), "m"))[1] == ["  banned:", "    - m"]


def test_item_is_removed_with_its_own_comment_only() -> None:
    assert changed_lines(remove_item(TEXT, ("users", "admin"), 0)) == (["  - alice   # first"], [])
    _went, came = changed_lines(remove_item(TEXT, ("users", "allowed"), 0))
    assert came == ["  allowed: ['y']   # a class"]
    assert remove_item("a: [1]\n", ("a",), 0) == "a: []\n"
    assert remove_item("a:\n  - 1  # one\n# end\n", ("a",), 0) == "a: []\n# end\n"


def test_unset_removes_sections_that_it_leaves_empty() -> None:
    after = unset_value(TEXT, ("https", "tls", "cert"))
    assert changed_lines(after) == (["    tls:", "        cert: /x"], [])
    assert unset_value("http:\n  port: 80\nb: 1\n", ("http", "port")) == "b: 1\n"
    assert (
        unset_value("http: {port: 80, address: ''}\n", ("http", "port")) == "http: {address: ''}\n"
    )
    assert unset_value("a: 1\n", ("a",)) == ""


def test_text_is_quoted_where_a_reader_could_take_it_for_something_else() -> None:
    quoted = "00123 1e3 0x1F true yes No null ~ 1_000 12:30 2026-01-01 - @x #x [a {a &a *a !a %a"
    for word in [*quoted.split(" "), "", " a", "a ", "a: b", "a #b", "<<", "=", "|", ">"]:
        assert format_scalar(word)[0] in "'\"", word
    for word in ["alice", "4G", "a.b", "127.0.0.1", "https://a.b/c", "a@b.org", "/lab", "a b"]:
        assert format_scalar(word) == word


@given(st.text(max_size=60))
def test_any_text_reads_back_as_itself(text: str) -> None:
    after = set_value("b: 1\n", ("a",), text)
    assert parse(after).root.value()["a"] == text  # type: ignore[union-attr]
    assert YAML(typ="safe", pure=True).load(after)["a"] == text


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(["users", "http", "limits", "https", "empty", "new", "notes", "last"])


@given(
    st.lists(
        st.tuples(KEYS, st.sampled_from(["", "admin", "port", "tls", "q"]), VALUES), max_size=6
    )
)
def test_series_of_edits_holds_what_was_set_and_keeps_the_first_comment(
    edits: list[tuple[str, str, Any]],
) -> None:
    text = TEXT
    for first, second, value in edits:
        path = (first, second) if second else (first,)
        try:
            text = set_value(text, path, value)
        except TljhError:
            continue  # what is shared by an anchor
        held: Any = parse(text).root.value()  # type: ignore[union-attr]
        for step in path:
            held = held[step]
        assert held == value
    assert text.startswith("# Our hub.\n")


@given(VALUES)
def test_flow_text_reads_back_as_the_value(value: Any) -> None:
    root = parse(f"a: {format_flow(value)}\n").root
    assert root is not None
    assert root.value()["a"] == value


def test_edits_of_the_file_that_the_installer_writes(tmp_path: Path) -> None:
    text = "# first lines\n\nusers:\n  admin:\n  - alice\n"
    text = add_item(text, ("users", "admin"), "bob")
    text = set_value(text, ("users", "allowed"), ["eve"])
    assert text == (
        "# first lines\n\nusers:\n  admin:\n  - alice\n  - bob\n  allowed:\n    - eve\n"
    )


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("# ours\n- alice\n", "the file must hold names with values, but holds a list", 2),
        ("alice\n", "the file must hold names with values, but holds a single value", 1),
        (
            "base_url: /\nusers: [alice, bob]\n",
            "users must hold names with values, but holds a list",
            2,
        ),
        ("users:\n  admin: bob\n", "users.admin must hold a list, but holds a single value", 2),
    ],
)
def test_what_is_of_another_kind_does_not_make_way(text: str, what: str, line: int) -> None:
    with pytest.raises(TljhError) as refused:
        add_item(text, ADMIN, "x")
    (finding,) = refused.value.findings
    assert finding.what == what
    assert finding.where
    assert finding.where.line == line
    assert finding.fix


@pytest.mark.parametrize("text", ["- alice\n", "users: [alice]\n", "users: alice\n"])
def test_no_edit_removes_what_stands_where_a_section_belongs(text: str) -> None:
    for edit in (lambda: set_value(text, ADMIN, ["x"]), lambda: unset_value(text, ADMIN)):
        with pytest.raises(TljhError):
            edit()


def test_a_name_that_stands_twice_elsewhere_is_named_with_its_line() -> None:
    text = "http:\n  port: 80\n  port: 81\nbase_url: /\n"
    with pytest.raises(TljhError) as refused:
        set_value(text, ("base_url",), "/x")
    first, last = refused.value.findings
    assert first.what == "port is set a second time; the first is in line 2"
    assert first.where
    assert first.where.line == 3
    assert first.fix == "keep one of the two"
    assert last.fix == "sudo tljh-config edit"


def test_key_of_a_merged_map_is_unset_in_its_own_copy() -> None:
    text = "x-base: &x\n  k: 1\n  l: 2\nb:\n  <<: *x\n  z: 2\n"
    assert unset_value(text, ("b", "k")) == "x-base: &x\n  k: 1\n  l: 2\nb:\n  z: 2\n  l: 2\n"
    with pytest.raises(TljhError, match="shared by an anchor"):
        unset_value("x-base: &x\n  base_url: /\n<<: *x\n", ("base_url",))


def test_setting_a_list_keeps_the_comments_of_the_items_that_stay() -> None:
    text = (
        "users:\n  admin:  # us\n    - alice  # head\n    # deputy\n    - bob\n    - eve  # new\n"
    )
    assert set_value(text, ADMIN, ["alice", "bob", "carol"]) == (
        "users:\n  admin:  # us\n    - alice  # head\n    # deputy\n    - bob\n    - carol\n"
    )
    assert set_value(text, ADMIN, ["eve"]) == (
        "users:\n  admin:  # us\n    # deputy\n    - eve  # new\n"
    )


@pytest.mark.parametrize("value", ["short", ["a"]])
def test_blank_line_behind_a_block_of_text_stays(value: Any) -> None:
    text = "a: |\n  line 1\n  line 2\n\n# about b\nb: 1\n"
    rest = "\n# about b\nb: 1\n"
    assert set_value(text, ("a",), value).endswith(rest)
    assert unset_value(text, ("a",)) == rest
