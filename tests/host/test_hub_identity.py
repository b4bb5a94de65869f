"""Requests of commands to the hub's own port: TLS with internal_ssl, plain HTTP without."""

from __future__ import annotations

import json

import pytest

from tljh.base.paths import Paths
from tljh.host.hub_identity import find_hub_identity

URL = "http://127.0.0.1:15001/hub/api/users"


@pytest.fixture
def paths(tmp_path):
    paths = Paths(prefix=tmp_path)
    paths.applied.directory.mkdir(parents=True)
    return paths


def apply(paths, traits):
    paths.applied.hub_file.write_text(json.dumps({"JupyterHub": traits}))


def test_the_applied_configuration_decides(paths):
    assert find_hub_identity(URL, paths) is None
    apply(paths, {})
    assert find_hub_identity(URL, paths) is None
    apply(paths, {"internal_ssl": True})
    assert find_hub_identity(URL, paths).key.is_relative_to(paths.internal_ssl)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:80/hub/login", "http://127.0.0.1:150011/", "http://10.0.0.1:15001/hub/api"],
)
def test_the_hubs_key_is_shown_to_the_hubs_own_port_only(paths, url):
    apply(paths, {"internal_ssl": True})
    assert find_hub_identity(url, paths) is None
