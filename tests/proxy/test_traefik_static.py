from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tljh.base.paths import Paths
from tljh.proxy.resources import collect_static_inputs
from tljh.proxy.supervisor.__main__ import make_option_parser
from tljh.proxy.traefik_static import (
    StaticInputs,
    build_static_configuration,
    format_entry_points,
    format_static_file,
    list_listening_addresses,
    merge,
    merge_all,
)
from tljh.settings.load import load

TREES = st.recursive(
    st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=10,
)


def test_same_inputs_give_the_same_bytes():
    inputs = StaticInputs(https_port=443, trusted_proxies=("10.0.0.0/8",))
    texts = {format_static_file(build_static_configuration(inputs), Path("/c")) for _ in range(3)}
    assert len(texts) == 1


def test_without_https_there_is_no_https_entry_point_and_no_redirect():
    entry_points = build_static_configuration(StaticInputs())["entryPoints"]
    assert set(entry_points) == {"http", "auth_api", "ready"}
    assert "redirections" not in entry_points["http"]["http"]


def test_with_https_plain_http_only_redirects():
    entry_points = build_static_configuration(StaticInputs(https_port=8443))["entryPoints"]
    assert entry_points["http"]["http"]["redirections"]["entryPoint"]["to"] == "https"
    assert entry_points["https"]["http"]["tls"] == {"options": "default"}
    assert "tljh-hsts@file" in entry_points["https"]["http"]["middlewares"]
    assert "tljh-hsts@file" not in entry_points["http"]["http"]["middlewares"]


def test_supervisor_opens_every_tcp_entry_point_but_its_own():
    inputs = StaticInputs(http_address="::1", https_port=443)
    more = {"entryPoints": {"dns": {"address": ":53/udp"}, "ssh": {"address": ":2222/tcp"}}}
    merged = merge_all(build_static_configuration(inputs), [more])
    assert json.loads(format_entry_points(merged)) == {
        "http": "[::1]:80",
        "https": ":443",
        "auth_api": "127.0.0.1:8099",
        "ssh": ":2222/tcp",
    }
    assert merged["entryPoints"]["dns"]["reusePort"] is True


def test_drop_in_changes_one_setting_and_keeps_the_others_whatever_its_case():
    base = build_static_configuration(StaticInputs())
    drop_in = {"entrypoints": {"http": {"Transport": {"respondingTimeouts": {"idleTimeout": 1}}}}}
    merged = merge_all(base, [drop_in])
    timeouts = merged["entryPoints"]["http"]["transport"]["respondingTimeouts"]
    assert timeouts == {"readTimeout": "0s", "writeTimeout": "0s", "idleTimeout": 1}
    assert list_listening_addresses(merged) == list_listening_addresses(base)


def test_later_drop_in_wins():
    merged = merge_all({}, [{"log": {"level": "WARN"}}, {"log": {"level": "DEBUG"}}])
    assert merged["log"] == {"level": "DEBUG"}


def test_uploads_have_no_time_limit_and_drain_is_as_long_as_configured():
    transport = build_static_configuration(StaticInputs(drain_s=60))["entryPoints"]["http"][
        "transport"
    ]
    assert transport["respondingTimeouts"]["readTimeout"] == "0s"
    assert transport["lifeCycle"]["graceTimeOut"] == "60s"


def test_supervisor_keeps_an_old_traefik_longer_than_that_keeps_connections():
    entry_points = build_static_configuration(StaticInputs(https_port=443))["entryPoints"]
    limit_s = make_option_parser().parse_args(["--runtime", "/run/traefik"]).keep_alive
    for name in ("http", "https"):
        kept = entry_points[name]["transport"]["keepAliveMaxTime"]
        assert 0 < float(kept.removesuffix("s")) < limit_s


def test_access_log_is_off_unless_it_is_switched_on():
    assert "accessLog" not in build_static_configuration(StaticInputs())
    assert "filePath" not in build_static_configuration(StaticInputs(access_log=True))["accessLog"]


@pytest.mark.parametrize(
    ("text", "level", "has_access_log"),
    [
        ("", "INFO", False),
        ("proxy: {log_level: DEBUG}", "DEBUG", False),
        ("proxy: {access_log: true, log_level: ERROR}", "ERROR", True),
    ],
)
def test_logs_follow_the_settings_of_the_proxy(text, level, has_access_log):
    configuration = build_static_configuration(collect_static_inputs(load(text.encode()), Paths()))
    assert configuration["log"]["level"] == level
    assert ("accessLog" in configuration) is has_access_log


@given(TREES, TREES)
def test_merging_twice_is_merging_once(base, over):
    if isinstance(base, dict) and isinstance(over, dict):
        once = merge(base, over)
        assert merge(once, over) == once


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=4))
def test_yaml_says_what_the_tree_says(tree):
    text = format_static_file(tree, Path("/c"))
    assert (YAML(typ="safe", pure=True).load(text) or {}) == tree
