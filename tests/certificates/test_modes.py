"""HTTPS without ACME, on a machine in memory: own files, the machine's own CA, off and on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.certificates.acme_authority import secure_machine
from tests.certificates.authority import NOW, Issued, issue
from tests.certificates.clock import set_clock
from tests.operations.test_converge import PATHS, install, reload
from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.certificates.units import WATCH
from tljh.certificates.x509 import TlsPair, read_details
from tljh.commands.cert import CertificateStatus
from tljh.host.fake import FakeHost, Killed
from tljh.host.interface import FileInfo, Result
from tljh.operations.certificate_renewal import read_applied, read_certificate_state, renew
from tljh.proxy.resources import collect_dynamic_inputs
from tljh.proxy.served_certificate import (
    read_configured_chain,
    read_configured_pair,
    remove_unused_pairs,
    swap_certificate,
)

PLAIN = b"users: {admin: [ada]}\n"
INTERNAL = PLAIN + b"https: {enabled: true, mode: internal, domains: [hub.lan]}\n"
CERT, KEY = Path("/etc/hub.crt"), Path("/etc/hub.key")
TLS = PLAIN + b"https: {enabled: true, tls: {cert: /etc/hub.crt, key: /etc/hub.key}}\n"
AUTHORITY = PATHS.state_dir / "internal-ca"


@pytest.fixture(autouse=True)
def no_conda(monkeypatch):
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])


@pytest.fixture
def host():
    return installed()


def installed() -> FakeHost:
    machine = secure_machine()
    install(machine)
    trial = f"{machine.readlink(PATHS.hub)}/bin/python".replace("versions", "/opt/tljh/versions")
    machine.answers[f"{trial} -I -m tljh.proxy.supervisor.trial"] = Result(
        0, '{"ready": true, "lines": []}'
    )
    return machine


def put(host: FakeHost, pair: Issued) -> None:
    place(host, CERT, pair.pem)
    place(host, KEY, pair.key_pem())


def place(host: FakeHost, path: Path, data: bytes) -> None:
    host.files[path] = (FileInfo("file", 0o600, "root", "root"), data)


def valid_for(days: float) -> Issued:
    """Issue a certificate that is valid by the real clock."""
    offset = (get_utc_time() - NOW).total_seconds() / 86400
    return issue("hub", ["hub.lan"], from_day=offset - 10, to_day=offset + days)


def test_certificate_of_the_machines_own_authority_is_served(host):
    reload(host, INTERNAL)
    state = read_certificate_state(host, PATHS)
    assert state.problem is None and state.about is not None
    assert "hub.lan" in state.about.names
    assert state.trust is not None and state.trust.url == "http://hub.lan/hub/ca.crt"
    for name in ("ca.crt", "ca.key", "hub.crt", "hub.key"):
        assert host.files[AUTHORITY / name][0].mode == 0o600
    effects = len(host.effects)
    reload(host)
    assert len(host.effects) == effects


def test_off_and_on_again_nobody_has_to_trust_anything_anew(host):
    reload(host, INTERNAL)
    before = read_configured_chain(host, PATHS)
    reload(host, PLAIN)
    assert read_configured_chain(host, PATHS) is None
    reload(host, INTERNAL)
    assert read_configured_chain(host, PATHS) == before


def test_it_is_renewed_by_the_timer_under_the_same_authority(host, monkeypatch):
    reload(host, INTERNAL)
    authority, before = host.read(AUTHORITY / "ca.crt"), read_configured_chain(host, PATHS)
    assert not renew(host, PATHS, SilentProgress()).exchanged
    later = get_utc_time() + timedelta(days=300)
    set_clock(monkeypatch, later)
    effects = len(host.effects)
    assert renew(host, PATHS, SilentProgress()).exchanged
    after = read_configured_chain(host, PATHS)
    assert after is not None and after != before
    assert read_details(after).days_left(later) > 360
    assert host.read(AUTHORITY / "ca.crt") == authority
    assert not [effect for effect in host.effects[effects:] if effect.startswith("systemctl")]


def test_a_name_outside_its_limits_takes_a_new_authority(host):
    reload(host, INTERNAL)
    authority = host.read(AUTHORITY / "ca.crt")
    reload(host, INTERNAL.replace(b"hub.lan", b"nas.lan"))
    assert host.read(AUTHORITY / "ca.crt") == authority
    reload(host, INTERNAL.replace(b"hub.lan", b"hub.example.org"))
    assert host.read(AUTHORITY / "ca.crt") != authority


def effects_of_the_first_time() -> int:
    with pytest.MonkeyPatch.context() as patch:
        conda = "tljh.conda.resources.resources"
        patch.setattr(conda, lambda *_, **__: [])
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
    assert read_certificate_state(host, PATHS).problem is None
    names = {path.suffix for path in host.files if path.parent == AUTHORITY}
    assert names == {".crt", ".key"}


def test_own_certificate_is_watched_for_its_replacement_and_only_then(host):
    put(host, valid_for(80))
    reload(host, TLS)
    assert host.unit(WATCH).is_active
    assert b"PathChanged=/etc/hub.crt\n" in (host.read(PATHS.units_dir / WATCH) or b"")
    reload(host, PLAIN)
    assert not host.unit(WATCH).is_active
    assert host.info(PATHS.units_dir / WATCH) is None


def test_replacement_is_taken_up_without_a_restart(host):
    put(host, valid_for(80))
    reload(host, TLS)
    new = valid_for(90)
    put(host, new)
    effects = len(host.effects)
    assert renew(host, PATHS, SilentProgress()).exchanged
    assert read_configured_chain(host, PATHS) == new.pem
    assert not [effect for effect in host.effects[effects:] if effect.startswith("systemctl")]


def test_bad_replacement_changes_nothing(host):
    old = valid_for(80)
    put(host, old)
    reload(host, TLS)
    put(host, valid_for(-1))
    effects = len(host.effects)
    with pytest.raises(TljhError, match="has expired"):
        renew(host, PATHS, SilentProgress())
    assert read_configured_chain(host, PATHS) == old.pem
    assert len(host.effects) == effects


def copies(host: FakeHost) -> dict[str, bytes | None]:
    directory = PATHS.traefik_dir / "certs"
    return {name: host.read(directory / name) for name in host.listdir(directory)}


def test_key_that_is_written_in_another_way_changes_nothing(host):
    put(host, valid_for(80))
    reload(host, TLS)
    before = copies(host)
    place(host, KEY, (host.read(KEY) or b"") + b"\n")
    assert not renew(host, PATHS, SilentProgress()).exchanged
    assert copies(host) == before and len(before) == 2


def test_pair_that_differs_in_its_key_file_alone_is_exchanged_and_what_is_named_stays(host):
    """Remove, for example, a copy that an earlier release made of the file's bytes."""
    own = valid_for(80)
    put(host, own)
    reload(host, TLS)
    config = read_applied(host, PATHS)
    raw = TlsPair(own.pem, own.key_pem() + b"\n")
    swap_certificate(host, collect_dynamic_inputs(config.config, config.facts, PATHS), raw)
    remove_unused_pairs(host, PATHS)
    assert read_configured_pair(host, PATHS) == raw
    assert renew(host, PATHS, SilentProgress()).exchanged
    assert read_configured_pair(host, PATHS) == TlsPair(own.pem, own.key_pem())
    assert set(copies(host).values()) == {own.pem, own.key_pem()}


def test_replacement_that_traefik_refuses_is_never_served(host):
    old = valid_for(80)
    put(host, old)
    reload(host, TLS)
    line = '2026-11-25T10:00:00Z ERR Unable to load certificate error=\\"tls: no\\"'
    trial = next(
        command for command in host.answers if command.endswith("tljh.proxy.supervisor.trial")
    )
    host.answers[trial] = Result(0, f'{{"ready": true, "lines": ["{line}"]}}')
    put(host, valid_for(90))
    effects = len(host.effects)
    with pytest.raises(TljhError, match="tls: no"):
        renew(host, PATHS, SilentProgress())
    assert host.effects[effects:] == [] and read_configured_chain(host, PATHS) == old.pem


def test_rules_that_were_edited_since_the_reload_are_no_matter_of_a_renewal(host):
    put(host, valid_for(80))
    reload(host, TLS)
    host.mkdir(PATHS.rules_dir, mode=0o700)
    place(host, PATHS.rules_dir / "mine.toml", b"[http")
    put(host, valid_for(90))
    assert renew(host, PATHS, SilentProgress()).exchanged


def test_own_certificate_that_expired_hinders_no_other_change_and_no_rollback(host, monkeypatch):
    put(host, valid_for(80))
    reload(host, TLS)
    set_clock(monkeypatch, get_utc_time() + timedelta(days=100))
    assert reload(host, TLS + b"limits: {memory: 1G}\n").number
    assert not renew(host, PATHS, SilentProgress()).exchanged
    with pytest.raises(TljhError, match="has expired"):
        put(host, valid_for(90))
        reload(host)


def test_no_copy_of_a_key_stays_when_https_is_switched_off(host):
    put(host, valid_for(80))
    reload(host, TLS)
    assert copies(host)
    reload(host, PLAIN)
    assert copies(host) == {}
    reload(host, TLS)
    assert len(copies(host)) == 2


def status_of(host: FakeHost) -> CertificateStatus:
    return CertificateStatus(read_certificate_state(host, PATHS))


def test_status_tells_of_a_replacement_that_was_refused_while_the_old_one_is_fine(host):
    put(host, signed_for("hub.lan"))
    reload(host, TLS)
    assert status_of(host).as_json()["last_error"] is None
    place(host, CERT, b"rubbish")
    status = status_of(host)
    assert "contains no certificate" in status.as_json()["last_error"]["what"]
    assert "still served" in status.as_text() and status.exit_code == 0


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (lambda: valid_for(80), "self-signed"),
        (lambda: signed_for("other.lan"), "not for hub.lan"),
        (lambda: signed_for(), "names no host"),
    ],
)
def test_status_ends_with_1_where_browsers_would_warn_and_says_of_what(host, own, words):
    put(host, own())
    reload(host, TLS.replace(b"enabled: true", b"enabled: true, domains: [hub.lan]"))
    status = status_of(host)
    assert status.exit_code == 1 and words in status.as_text()
    assert any(words in complaint for complaint in status.as_json()["complaints"])


def signed_for(*names: str) -> Issued:
    offset = (get_utc_time() - NOW).total_seconds() / 86400
    root = issue("Root", is_authority=True, from_day=-1000, to_day=10_000)
    return issue("hub", names, by=root, from_day=offset - 10, to_day=offset + 80)


def test_internal_authority_is_no_complaint(host):
    reload(host, INTERNAL)
    assert status_of(host).exit_code == 0
