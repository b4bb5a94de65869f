"""HTTPS without ACME, on a machine in memory: own files, an authority of its own, off and on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.proxy.certificates.acme_authority import secure_machine
from tests.proxy.certificates.authority import NOW, Issued, issue
from tests.test_converge import PATHS, install, reload
from tljh.errors import TljhError
from tljh.host.base import FileInfo, Result
from tljh.host.fake import FakeHost, Killed
from tljh.output import Silent
from tljh.proxy.certificates.own import WATCH
from tljh.proxy.certificates.pair import details, utc_now
from tljh.proxy.certificates.renewal import renew, standing
from tljh.proxy.certificates.served import named_certificate

PEOPLE = b"users: {admin: [ada]}\n"
INTERNAL = PEOPLE + b"https: {enabled: true, mode: internal, domains: [hub.lan]}\n"
CERT, KEY = Path("/etc/hub.crt"), Path("/etc/hub.key")
TLS = PEOPLE + b"https: {enabled: true, tls: {cert: /etc/hub.crt, key: /etc/hub.key}}\n"
AUTHORITY = PATHS.state_dir / "internal-ca"


@pytest.fixture(autouse=True)
def no_conda(monkeypatch):
    monkeypatch.setattr("tljh.commands.install._conda_environments", lambda *_, **__: [])


@pytest.fixture
def host():
    return installed()


def installed() -> FakeHost:
    found = secure_machine()
    install(found)
    trial = f"{found.readlink(PATHS.hub)}/bin/python".replace("versions", "/opt/tljh/versions")
    found.answers[f"{trial} -I -m tljh.proxy.trial"] = Result(0, '{"ready": true, "lines": []}')
    return found


def put(host: FakeHost, pair: Issued) -> None:
    for path, data in ((CERT, pair.pem), (KEY, pair.key_pem())):
        host.files[path] = (FileInfo("file", 0o600, "root", "root"), data)


def valid_for(days: float) -> Issued:
    """A certificate that is valid as seen from the clock of whoever runs this test."""
    offset = (utc_now() - NOW).total_seconds() / 86400
    return issue("hub", ["hub.lan"], from_day=offset - 10, to_day=offset + days)


def test_certificate_of_the_machines_own_authority_is_served(host):
    reload(host, INTERNAL)
    now = standing(host, PATHS)
    assert now.problem is None and now.about is not None
    assert "hub.lan" in now.about.names
    assert now.trust is not None and now.trust.url == "http://hub.lan/hub/ca.crt"
    for name in ("ca.crt", "ca.key", "hub.crt", "hub.key"):
        assert host.files[AUTHORITY / name][0].mode == 0o600
    effects = len(host.effects)
    reload(host)
    assert len(host.effects) == effects


def test_off_and_on_again_nobody_has_to_trust_anything_anew(host):
    reload(host, INTERNAL)
    before = named_certificate(host, PATHS)
    reload(host, PEOPLE)
    assert named_certificate(host, PATHS) is None
    reload(host, INTERNAL)
    assert named_certificate(host, PATHS) == before


def test_it_is_renewed_by_the_timer_under_the_same_authority(host, monkeypatch):
    reload(host, INTERNAL)
    authority, before = host.read(AUTHORITY / "ca.crt"), named_certificate(host, PATHS)
    assert not renew(host, PATHS, Silent()).exchanged
    later = utc_now() + timedelta(days=300)
    monkeypatch.setattr("tljh.proxy.certificates.internal.utc_now", lambda: later)
    effects = len(host.effects)
    assert renew(host, PATHS, Silent()).exchanged
    after = named_certificate(host, PATHS)
    assert after is not None and after != before
    assert details(after).days_left(later) > 360
    assert host.read(AUTHORITY / "ca.crt") == authority
    assert not [one for one in host.effects[effects:] if one.startswith("systemctl")]


def test_a_name_outside_its_limits_takes_a_new_authority(host):
    reload(host, INTERNAL)
    authority = host.read(AUTHORITY / "ca.crt")
    reload(host, INTERNAL.replace(b"hub.lan", b"nas.lan"))
    assert host.read(AUTHORITY / "ca.crt") == authority
    reload(host, INTERNAL.replace(b"hub.lan", b"hub.example.org"))
    assert host.read(AUTHORITY / "ca.crt") != authority


def effects_of_the_first_time() -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tljh.commands.install._conda_environments", lambda *_, **__: [])
        host = installed()
        before = len(host.effects)
        reload(host, INTERNAL)
    return len(host.effects) - before


@pytest.mark.parametrize("number", range(effects_of_the_first_time()))
def test_killed_at_any_effect_the_next_reload_serves_one_certificate(host, number):
    host.die_before = len(host.effects) + number
    with pytest.raises(Killed):
        reload(host, INTERNAL)
    host.die_before = None
    reload(host)
    assert standing(host, PATHS).problem is None
    names = {path.suffix for path in host.files if path.parent == AUTHORITY}
    assert names == {".crt", ".key"}


def test_own_certificate_is_watched_for_its_replacement_and_only_then(host):
    put(host, valid_for(80))
    reload(host, TLS)
    assert host.unit(WATCH).is_active
    assert b"PathChanged=/etc/hub.crt\n" in (host.read(PATHS.units_dir / WATCH) or b"")
    reload(host, PEOPLE)
    assert not host.unit(WATCH).is_active
    assert host.info(PATHS.units_dir / WATCH) is None


def test_replacement_is_taken_up_without_a_restart(host):
    put(host, valid_for(80))
    reload(host, TLS)
    new = valid_for(90)
    put(host, new)
    effects = len(host.effects)
    assert renew(host, PATHS, Silent()).exchanged
    assert named_certificate(host, PATHS) == new.pem
    assert not [one for one in host.effects[effects:] if one.startswith("systemctl")]


def test_bad_replacement_changes_nothing(host):
    old = valid_for(80)
    put(host, old)
    reload(host, TLS)
    put(host, valid_for(-1))
    effects = len(host.effects)
    with pytest.raises(TljhError, match="has expired"):
        renew(host, PATHS, Silent())
    assert named_certificate(host, PATHS) == old.pem
    assert len(host.effects) == effects
