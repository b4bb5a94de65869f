from __future__ import annotations

from ruamel.yaml import YAML

from tljh.proxy.dynamic import (
    Certificate,
    DynamicInputs,
    api_password_hash,
    dynamic_files,
    literal,
    stale_files,
)

PLAIN = DynamicInputs("api_admin", api_password_hash("secret"))
SECURE = DynamicInputs(
    "api_admin", api_password_hash("secret"), (Certificate(b"chain", b"key"),), has_https=True
)


def trees(inputs):
    return {
        file.path.name: YAML(typ="safe").load(file.content.decode())
        for file in dynamic_files(inputs)
        if file.path.suffix == ".yaml"
    }


def test_every_middleware_that_entry_points_name_is_defined():
    defined = trees(SECURE)["tljh.yaml"]["http"]["middlewares"]
    assert {"tljh-security-headers", "tljh-hsts", "tljh-retry"} <= set(defined)


def test_api_is_reached_with_its_password_only():
    http = trees(PLAIN)["tljh.yaml"]["http"]
    assert http["routers"]["tljh-api"]["middlewares"] == ["tljh-api-auth"]
    users = http["middlewares"]["tljh-api-auth"]["basicAuth"]["users"]
    assert users == ["api_admin:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="]


def test_certificate_is_written_before_the_file_that_names_it():
    names = [file.path.name for file in dynamic_files(SECURE)]
    pair = SECURE.certificates[0].name
    assert names == [f"{pair}.pem", f"{pair}.key", "tls.yaml", "tljh.yaml"]


def test_renewed_certificate_is_a_new_pair_of_files():
    assert Certificate(b"new chain", b"key").name != SECURE.certificates[0].name


def test_template_code_in_a_value_stays_text():
    assert literal("a{{ env `HOME` }}") == 'a{{"{{"}} env `HOME` }}'


def test_files_of_an_earlier_configuration_are_stale_but_never_the_routes():
    present = ["tljh.yaml", "tls.yaml", "rules.toml", "old.toml", ".rules.toml.x1"]
    assert stale_files(present, dynamic_files(PLAIN)) == ["tls.yaml", "old.toml"]
