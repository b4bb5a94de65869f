from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh.base.errors import TljhError
from tljh.proxy.traefik_drop_ins import (
    check_rules,
    parse,
    parse_static_drop_ins,
    select_admins_files,
)

STATIC, RULES = Path("/config/traefik_config.d"), Path("/state/rules")


def refused(name, text):
    with pytest.raises(TljhError) as caught:
        parse_static_drop_ins({name: text.encode()}, STATIC)
    return [(f.what, f.where.line if f.where else None, f.fix) for f in caught.value.findings]


def problems_of(**files):
    contents = {f"{name}.toml": text.encode() for name, text in files.items()}
    return [(f.what, f.where.line if f.where else None) for f in check_rules(contents, RULES)]


def test_drop_ins_come_in_the_order_of_their_names():
    files = {"b.yaml": b"log: {level: WARN}", "a.toml": b"[log]\nlevel='DEBUG'", "notes.txt": b"x"}
    assert parse_static_drop_ins(files, STATIC) == [
        {"log": {"level": "DEBUG"}},
        {"log": {"level": "WARN"}},
    ]


def test_toml_mistake_is_reported_with_its_line_and_column():
    with pytest.raises(TljhError) as caught:
        parse(STATIC / "a.toml", b"[log]\nlevel = DEBUG\n")
    (finding,) = caught.value.findings
    assert finding.what == "not valid TOML: invalid value"
    assert str(finding.where) == "/config/traefik_config.d/a.toml, line 2, column 9"


def test_yaml_mistake_is_reported_with_its_line():
    with pytest.raises(TljhError) as caught:
        parse(STATIC / "a.yaml", b"log:\n  level: a\n\tx: 1\n")
    assert caught.value.findings[0].where.line == 3


def test_yaml_key_given_twice_is_refused():
    with pytest.raises(TljhError, match="duplicate key"):
        parse(STATIC / "a.yaml", b"log: {}\nlog: {}\n")


def test_misspelled_section_is_reported_with_its_line_and_the_nearest_name():
    assert refused("a.toml", "[log]\n[entryPoint.x]\naddress=':1'\n") == [
        (
            "entryPoint is not a section of Traefik's static configuration",
            2,
            "did you mean entryPoints?",
        )
    ]


def test_dynamic_section_in_a_static_file_is_sent_where_it_belongs():
    ((_, line, fix),) = refused("a.toml", "\n[http.routers.a]\nrule='x'\n")
    assert (line, fix) == (2, "move it to a file in state/rules/")


def test_file_provider_and_ready_entry_point_are_not_for_admins():
    problems = refused(
        "a.toml", "[providers.file]\ndirectory='/x'\n[entryPoints.ready]\naddress=':1'\n"
    )
    assert [what for what, *_ in problems] == [
        "providers.file.directory belongs to tljh: users' routes come through it",
        "the entry point ready belongs to tljh",
    ]


@pytest.mark.parametrize("address", ["80", ":99999", "host:http", ""])
def test_address_no_socket_can_have_is_refused(address):
    ((what, line, _),) = refused("a.yaml", f"entryPoints:\n  more:\n    address: '{address}'\n")
    assert "is not an address of the form host:port" in what
    assert line == 2


@pytest.mark.parametrize(
    ("text", "line", "fix"),
    [
        ("log:\n  format: jason\n", 2, "did you mean json?"),
        ("Log:\n\n  LEVEL: warning\n", 3, "did you mean warn?"),
        ("log: {level: loud}\n", 1, "use one of: trace"),
    ],
)
def test_log_setting_that_traefik_would_replace_is_refused(text, line, fix):
    with pytest.raises(TljhError) as caught:
        parse_static_drop_ins({"a.yaml": text.encode()}, Path("/c"))
    [finding] = caught.value.findings
    assert finding.where is not None
    assert finding.where.line == line
    assert (finding.fix or "").startswith(fix)
    assert parse_static_drop_ins({"a.yaml": b"log: {format: JSON, level: Debug}"}, Path("/c"))


def test_entry_point_of_ours_needs_no_address_in_a_drop_in():
    assert parse_static_drop_ins({"a.yaml": b"entryPoints: {http: {asDefault: true}}"}, STATIC)


def test_template_code_in_a_dynamic_file_is_refused_with_its_place():
    text = "[http.routers.a]\nrule = 'Host(`{{ env \"X\" }}`)'\n"
    assert problems_of(mine=text) == [("{{ begins template code, which Traefik would run", 2)]


def test_name_defined_in_two_files_is_reported():
    text = "[http.routers.a]\nrule = 'Path(`/a`)'\n"
    ((what, line),) = problems_of(first=text, second="\n" + text)
    assert what == "http.routers.a is defined twice; Traefik would drop both"
    assert line == 2


def test_names_of_ours_are_reserved():
    assert problems_of(mine="[http.middlewares.tljh-retry.retry]\nattempts=1\n") == [
        ("http.middlewares.tljh-retry belongs to tljh", 1)
    ]


def test_what_an_older_installation_kept_there_is_not_taken_for_admins_files():
    assert select_admins_files(
        ["rules.toml", "dynamic.toml", "b.toml", "a.yml", ".x.toml", "a~"]
    ) == [
        "a.yml",
        "b.toml",
    ]


@given(st.binary(max_size=200), st.sampled_from(["a.toml", "a.yaml"]))
def test_any_bytes_are_a_tree_or_a_finding(content, name):
    try:
        assert isinstance(parse(STATIC / name, content), dict)
    except TljhError as problem:
        assert problem.findings
    check_rules({name: content}, RULES)
