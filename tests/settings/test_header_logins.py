"""Logins by a header: believed from trusted proxies only."""

from __future__ import annotations

import pytest

from tljh.base.paths import Paths
from tljh.proxy.resources import collect_static_inputs
from tljh.proxy.traefik_static import build_static_configuration
from tljh.settings.load import check, load

CLASS = "jhub_remote_user_authenticator.remote_user_auth.RemoteUserAuthenticator"
REMOTE = f"auth: {{type: {CLASS}}}\n"
TRUSTED = "trusted_proxies: [192.0.2.1]\n"


@pytest.mark.parametrize("more", ["", "  RemoteUserAuthenticator: {header_name: X-User}\n"])
def test_a_login_by_a_header_needs_trusted_proxies(more):
    auth = f"auth:\n  type: {CLASS}\n{more}"
    (finding,) = check(auth.encode())
    assert "trusted_proxies is empty" in finding.what
    assert finding.fix == "sudo tljh-config add-item trusted_proxies ADDRESS_OF_THE_PROXY"
    assert check((auth + TRUSTED).encode()) == []


@pytest.mark.parametrize(
    ("text", "drop_in", "strategy"),
    [
        ("", b"", "delete"),
        (TRUSTED, b"", "delete"),
        (REMOTE + TRUSTED, b"", "keep"),
        (TRUSTED, b"c.RemoteUserAuthenticator.header_name = 'A'", "keep"),
        ("", b"c.RemoteUserAuthenticator.header_name = 'A'", "delete"),
        (f"auth: {{type: {CLASS}, RemoteUserAuthenticator: {{header_name: X-User}}}}\n" + TRUSTED,
         b"", "delete"),
        (f"auth: {{type: {CLASS}, RemoteUserAuthenticator: {{header_name: X_USER}}}}\n" + TRUSTED,
         b"", "keep"),
    ],
)  # fmt: skip
def test_traefik_keeps_such_a_header_where_a_trusted_proxy_may_send_it(text, drop_in, strategy):
    inputs = collect_static_inputs(load(text.encode()), Paths(), [drop_in])
    entry_point = build_static_configuration(inputs)["entryPoints"]["http"]
    assert entry_point["http"]["aliasHeadersStrategy"] == strategy
