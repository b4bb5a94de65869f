"""Certificates of internal_ssl: made by JupyterHub, renewed by tljh, one for each server."""

from __future__ import annotations

import grp
import os
import pwd
import ssl
import stat
from datetime import timedelta

import certipy
import pytest

from tljh.base.clock import get_utc_time
from tljh.certificates.internal_authorities import (
    AUTHORITIES,
    HUB,
    LIFE,
    PAIRS,
    PROXY_CLIENT,
    RENEWED_BEFORE_END,
    SERVERS_AUTHORITY,
    issue_pair,
    list_due,
    name_server,
    read_pair,
    renew_store,
    write_pair,
)
from tljh.certificates.x509 import get_certificate_names, parse_chain
from tljh.host.real import RealHost

LATER = LIFE - RENEWED_BEFORE_END + timedelta(days=1)


@pytest.fixture
def store(tmp_path):
    """Return a store as JupyterHub makes it at the first start with internal_ssl."""
    directory = tmp_path / "internal-ssl"
    records = certipy.Certipy(store_dir=str(directory))
    for name in AUTHORITIES:
        records.create_ca(name)
    for name, authority in zip(PAIRS, ("hub-ca", "proxy-api-ca", "proxy-client-ca"), strict=True):
        records.create_signed_pair(name, authority, alt_names=["IP:127.0.0.1", "DNS:localhost"])
    return directory


def shake_hands(server, client, name):
    """Return the name of the client's certificate once both ends trust each other."""
    ends = [ssl.MemoryBIO() for _ in range(2)]
    accepting = server.wrap_bio(ends[0], ends[1], server_side=True)
    calling = client.wrap_bio(ends[1], ends[0], server_hostname=name)
    is_done = [False, False]
    for _ in range(8):
        for index, side in enumerate((calling, accepting)):
            try:
                side.do_handshake()
                is_done[index] = True
            except ssl.SSLWantReadError:
                pass
    assert all(is_done)
    return accepting.getpeercert()["subject"]


def make_context(purpose, pair, trusted, directory):
    context = ssl.create_default_context(purpose, cadata=trusted.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    for ending, content in (("crt", pair.chain), ("key", pair.key)):
        (directory / f"pair.{ending}").write_bytes(content)
    context.load_cert_chain(directory / "pair.crt", directory / "pair.key")
    return context


def connect(store, directory, pair, name, trusted=SERVERS_AUTHORITY):
    """Connect to a server with `pair` as the proxy does, which expects the name of a server."""
    proxy = read_pair(store, PROXY_CLIENT)
    asked = read_pair(store, "proxy-client-ca").chain
    server = make_context(ssl.Purpose.CLIENT_AUTH, pair, asked, directory)
    client = make_context(
        ssl.Purpose.SERVER_AUTH, proxy, read_pair(store, trusted).chain, directory
    )
    return shake_hands(server, client, name)


def test_the_proxy_knows_a_server_from_that_of_another_user(store, tmp_path):
    mine, theirs = name_server("ann", ""), name_server("bob", "")
    pair = issue_pair(read_pair(store, SERVERS_AUTHORITY), "server", [mine, "127.0.0.1"])
    assert connect(store, tmp_path, pair, mine)
    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        connect(store, tmp_path, pair, theirs)


def test_a_server_cannot_pass_for_the_hub(store, tmp_path):
    pair = issue_pair(read_pair(store, SERVERS_AUTHORITY), "server", ["127.0.0.1"])
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(store, tmp_path, pair, "127.0.0.1", trusted="hub-ca")


def test_named_servers_of_one_user_have_different_names():
    assert len({name_server("ann", ""), name_server("ann", "a"), name_server("anna", "")}) == 3


def test_nothing_is_renewed_before_its_time(store):
    before = {path: path.read_bytes() for path in store.rglob("*.crt")}
    assert renew_store(RealHost(), store, ["127.0.0.1"], get_utc_time()) == []
    assert {path: path.read_bytes() for path in store.rglob("*.crt")} == before


def test_a_renewed_authority_still_signs_for_those_who_trust_the_old_one(store, tmp_path):
    old = read_pair(store, SERVERS_AUTHORITY)
    renewed = renew_store(RealHost(), store, ["127.0.0.1"], get_utc_time() + LATER)
    assert set(renewed) == {*AUTHORITIES, *PAIRS}
    new = read_pair(store, SERVERS_AUTHORITY)
    assert new.key == old.key and new.chain != old.chain
    leaf = parse_chain(issue_pair(new, "server", ["localhost"]).chain)[0]
    leaf.verify_directly_issued_by(parse_chain(old.chain)[0])
    assert list_due_after_jupyterhub(store) == []


def list_due_after_jupyterhub(store):
    """Let JupyterHub make the removed pairs again, and return what ends soon even so."""
    records = certipy.Certipy(store_dir=str(store))
    for name, authority in zip(PAIRS, ("hub-ca", "proxy-api-ca", "proxy-client-ca"), strict=True):
        records.create_signed_pair(name, authority, alt_names=["IP:127.0.0.1"])
    return list_due(store, get_utc_time())


def test_a_new_address_of_the_hub_gets_into_its_certificate(store):
    assert renew_store(RealHost(), store, ["127.0.0.1", "10.0.0.1"], get_utc_time()) == [HUB]
    assert not (store / HUB).exists()
    assert "10.0.0.1" not in get_certificate_names(
        parse_chain(read_pair(store, PROXY_CLIENT).chain)[0]
    )


@pytest.mark.parametrize("broken", ["certipy.json", "hub-ca/hub-ca.key", "proxy-api/proxy-api.crt"])
def test_a_store_that_cannot_be_read_is_made_anew(store, broken):
    (store / broken).write_bytes(b"")
    assert set(renew_store(RealHost(), store, [], get_utc_time())) == {*AUTHORITIES, *PAIRS}
    assert not store.exists()


def test_a_key_is_readable_by_its_owner_only_and_a_link_is_not_followed(store, tmp_path):
    pair = issue_pair(read_pair(store, SERVERS_AUTHORITY), "server", ["localhost"])
    target = tmp_path / "target"
    target.write_bytes(b"kept")
    (tmp_path / "internal-ssl-keyfile.pem").symlink_to(target)
    owner = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    variables = write_pair(RealHost(), tmp_path, pair, b"", owner)
    key = os.lstat(variables["JUPYTERHUB_SSL_KEYFILE"])
    assert stat.S_ISREG(key.st_mode) and stat.S_IMODE(key.st_mode) == 0o400
    assert target.read_bytes() == b"kept"
