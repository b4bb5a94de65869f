"""A header that names the user is seen only if a trusted proxy sent it."""

from __future__ import annotations

import ipaddress
from types import SimpleNamespace

import pytest
from tornado.httputil import HTTPHeaders

from tljh.hub.config_check import _check_headers
from tljh.hub.process import trusted_headers
from tljh.hub.process.trusted_headers import list_identity_headers, remove_untrusted

TRUSTED = (ipaddress.ip_network("192.0.2.0/24"),)
DEFAULT = SimpleNamespace(header_name="REMOTE_USER")
OTHER = SimpleNamespace(header_name="X-Shibboleth-Uid")


@pytest.fixture
def sent_by_proxy(monkeypatch):
    monkeypatch.setattr(trusted_headers, "is_from_proxy", lambda request: request.is_proxys)


def request(header, forwarded_for, *, is_proxys=True):
    headers = HTTPHeaders({header: "boss", "X-Forwarded-For": forwarded_for})
    return SimpleNamespace(headers=headers, is_proxys=is_proxys)


@pytest.mark.parametrize(
    ("authenticator", "header"),
    [
        (DEFAULT, "REMOTE_USER"),
        (DEFAULT, "Remote-User"),
        (DEFAULT, "X-Remote-User"),
        (OTHER, "X-Shibboleth-Uid"),
        (OTHER, "x_shibboleth_uid"),
    ],
)
@pytest.mark.parametrize(
    ("forwarded_for", "is_proxys", "is_kept"),
    [
        ("192.0.2.1", True, True),
        ("203.0.113.5, 192.0.2.1", True, True),
        # The address that Traefik appends is the last one; the others are the client's word.
        ("192.0.2.1, 203.0.113.5", True, False),
        ("", True, False),
        # A user's process on this machine, at the hub's own port.
        ("192.0.2.1", False, False),
    ],
)
def test_only_the_header_of_a_trusted_proxy_is_kept(
    sent_by_proxy, authenticator, header, forwarded_for, is_proxys, is_kept
):
    received = request(header, forwarded_for, is_proxys=is_proxys)
    remove_untrusted(received, list_identity_headers(authenticator), TRUSTED)
    assert (header in received.headers) == is_kept
    assert "X-Forwarded-For" in received.headers


def test_a_class_of_a_drop_in_with_such_a_header_is_refused_without_trusted_proxies():
    from jupyterhub.auth import Authenticator
    from traitlets import Unicode
    from traitlets.config import Config

    class ByHeader(Authenticator):
        header_name = Unicode("X-User").tag(config=True)

    c = Config()
    (finding,) = _check_headers(ByHeader, c)
    assert "ByHeader takes the user's name from a header" in finding.what
    c.LoginGuard.trusted_proxies = ["192.0.2.1"]
    assert list(_check_headers(ByHeader, c)) == []
    assert list(_check_headers(Authenticator, Config())) == []


def test_the_pages_of_every_guarded_login_remove_untrusted_headers():
    from jupyterhub.auth import DummyAuthenticator

    from tljh.hub.process.login_guard import make_guarded_class

    authenticator = make_guarded_class(DummyAuthenticator)()
    for _, handler, *_ in authenticator.get_handlers(None):
        assert "prepare" in vars(handler)
