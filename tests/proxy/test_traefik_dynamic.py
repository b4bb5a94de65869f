from __future__ import annotations

import re
from dataclasses import replace

import pytest
from ruamel.yaml import YAML

from tljh.certificates.x509 import TlsPair
from tljh.proxy.traefik_dynamic import (
    DynamicInputs,
    build_dynamic_files,
    escape_template,
    find_stale_files,
    hash_api_password,
)
from tljh.proxy.traefik_static import StaticInputs, build_static_configuration
from tljh.settings.derived import get_hsts_s
from tljh.settings.sections.https import HttpsSettings

PLAIN = DynamicInputs("api_admin", hash_api_password("secret"))
SECURE = DynamicInputs(
    "api_admin",
    hash_api_password("secret"),
    (TlsPair(b"chain", b"key"),),
    has_https=True,
)


def trees(inputs):
    return {
        file.path.name: YAML(typ="safe").load(file.content.decode())
        for file in build_dynamic_files(inputs)
        if file.path.suffix == ".yaml"
    }


def test_every_middleware_that_entry_points_name_is_defined():
    defined = trees(SECURE)["tljh.yaml"]["http"]["middlewares"]
    for inputs in (StaticInputs(), StaticInputs(https_port=443)):
        for entry_point in build_static_configuration(inputs)["entryPoints"].values():
            named = entry_point["http"].get("middlewares", [])
            assert {name.removesuffix("@file") for name in named} <= set(defined)


def test_api_is_reached_with_its_password_only():
    http = trees(PLAIN)["tljh.yaml"]["http"]
    assert http["routers"]["tljh-api"]["middlewares"] == ["tljh-api-auth"]
    users = http["middlewares"]["tljh-api-auth"]["basicAuth"]["users"]
    assert users == ["api_admin:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="]


def test_certificate_is_written_before_the_file_that_names_it():
    names = [file.path.name for file in build_dynamic_files(SECURE)]
    pair = SECURE.certificates[0].name
    assert names == [f"{pair}.pem", f"{pair}.key", "tls.yaml", "tljh.yaml"]


def test_renewed_certificate_is_a_new_pair_of_files():
    assert TlsPair(b"new chain", b"key").name != SECURE.certificates[0].name


def test_template_code_in_a_value_stays_text():
    assert escape_template("a{{ env `HOME` }}") == 'a{{"{{"}} env `HOME` }}'


def test_files_of_an_earlier_configuration_are_stale_but_never_the_routes():
    present = ["tljh.yaml", "tls.yaml", "rules.toml", "old.toml", ".rules.toml.x1"]
    assert find_stale_files(present, build_dynamic_files(PLAIN)) == ["tls.yaml", "old.toml"]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("", "max-age=15552000"),
        ("port: 8443", None),
        ("mode: internal", "max-age=0"),
        ("port: 8443, hsts: 60", "max-age=60"),
        ("hsts: 0", "max-age=0"),
    ],
)
def test_browsers_are_told_to_insist_on_https_where_that_locks_nobody_out(text, header):
    settings = YAML(typ="safe").load("{enabled: true, " + text + "}")
    inputs = replace(SECURE, hsts_s=get_hsts_s(HttpsSettings(**settings)))
    middleware = trees(inputs)["tljh.yaml"]["http"]["middlewares"]["tljh-hsts"]["headers"]
    sent = middleware.get("customResponseHeaders", {}).get("Strict-Transport-Security")
    assert sent == header
    assert middleware, "Traefik takes no empty middleware"


def test_ipv6_addresses_with_a_port_are_led_to_https_by_a_route_of_their_own():
    inputs = replace(SECURE, https_port=8443)
    http = trees(inputs)["tljh.yaml"]["http"]
    redirect = http["middlewares"]["tljh-ipv6-to-https"]["redirectRegex"]
    pattern = redirect["replacement"].replace("${", "\\g<").replace("}", ">")
    target = re.sub(redirect["regex"], pattern, "http://[2001:db8::1]:8080/hub/?a=b")
    assert target == "https://[2001:db8::1]:8443/hub/?a=b"
    assert "tljh-ipv6-to-https" not in trees(PLAIN)["tljh.yaml"]["http"]["routers"]
