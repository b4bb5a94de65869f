"""Certificates are revoked after they are replaced; a failed revocation is resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.certificates.acme_authority import configuration, secure_machine
from tests.operations.test_converge import PATHS, install, reload
from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.certificates.x509 import read_details
from tljh.commands import cert
from tljh.host.fake import Killed
from tljh.host.interface import Result
from tljh.operations.certificate_checks import check_certificates
from tljh.operations.certificate_renewal import renew
from tljh.proxy.served_certificate import read_configured_chain

BUSY = Result(1, "", "An unexpected error occurred:\nService busy; retry later.\n")


@pytest.fixture(autouse=True)
def no_conda(monkeypatch):
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])


@pytest.fixture
def host(monkeypatch):
    machine = secure_machine()
    install(machine)
    reload(machine, configuration("hub.example.org"))
    monkeypatch.setattr(cert, "RealHost", lambda: machine)
    monkeypatch.setattr(cert, "get_paths", lambda: PATHS)
    return machine


def served(host) -> str:
    return read_details(read_configured_chain(host, PATHS)).serial


def revoked(host) -> list[str]:
    """Return serial number and reason of each revocation that the authority was asked for."""
    asked = [item for item in host.asked if item.argv[1] == "revoke"]
    return [
        f"{read_details(item.files[item.option('--cert-path')]).serial} {item.option('--reason')}"
        for item in asked
    ]


def answering(host, verb: str, *answers: Result | None):
    """Answer the next requests of this kind with `answers`; None for success."""
    run, left = host.run, list(answers)

    def moody(argv, **options):
        host.refusal = left.pop(0) if verb in argv and left else None
        return run(argv, **options)

    host.run = moody


def told(host) -> list[str]:
    return [item.what for _, item in check_certificates(host, PATHS) if "revoked" in item.what]


def test_a_new_one_is_served_before_the_old_one_is_revoked(host):
    old = served(host)
    said = cert.revoke(reason="keycompromise", as_json=True)
    assert served(host) != old and revoked(host) == [f"{old} keycompromise"]
    assert said.data == {"serial": old, "names": ["hub.example.org"], "replaced": True}
    assert told(host) == []


def test_a_revocation_that_failed_is_told_and_the_next_run_revokes_what_was_meant(host):
    old = served(host)
    answering(host, "revoke", BUSY)
    with pytest.raises(TljhError, match="busy") as failed:
        cert.revoke(reason="keycompromise", as_json=True)
    assert "sudo tljh cert revoke" in str(failed.value.findings[-1].fix)
    new = served(host)
    assert new != old and told(host) == [f"the certificate {old} is not revoked yet"]
    assert host.info(PATHS.acme_revocation).mode == 0o600
    cert.revoke(as_json=True)
    assert revoked(host) == [f"{old} keycompromise"] * 2
    assert served(host) == new and told(host) == []


def test_a_replacement_that_failed_is_made_by_the_next_run(host):
    old = served(host)
    answering(host, "certonly", BUSY)
    with pytest.raises(TljhError):
        cert.revoke(reason="keycompromise", as_json=True)
    assert revoked(host) == [] and served(host) == old
    cert.revoke(as_json=True)
    assert revoked(host) == [f"{old} keycompromise"] and served(host) != old


def test_what_was_compromised_can_be_revoked_after_https_is_something_else(host):
    old = served(host)
    answering(host, "revoke", BUSY)
    with pytest.raises(TljhError):
        cert.revoke(as_json=True)
    reload(host, b"users: {admin: [ada]}\n")
    assert told(host)
    cert.revoke(as_json=True)
    assert revoked(host)[-1].startswith(old)


def test_one_that_the_authority_has_revoked_already_is_done_with(host):
    old, run = served(host), host.run

    def twice(argv, **options):
        if "revoke" in argv:
            log = PATHS.certbot_dir / "logs/letsencrypt.log"
            for path in (log.parent.parent, log.parent):
                host.mkdir(path, mode=0o700)
            kind = "urn:ietf:params:acme:error:alreadyRevoked"
            host.write(log, f"Traceback:\nacme.messages.Error: {kind} :: x\n".encode(), mode=0o600)
            return Result(1, "", "An unexpected error occurred:\nCertificate already revoked\n")
        return run(argv, **options)

    host.run = twice
    assert cert.revoke(as_json=True).data["serial"] == old
    assert told(host) == []


def effects_of_a_revocation() -> int:
    with pytest.MonkeyPatch.context() as patch:
        conda = "tljh.conda.resources.resources"
        patch.setattr(conda, lambda *_, **__: [])
        host = secure_machine()
        install(host)
        reload(host, configuration("hub.example.org"))
        patch.setattr(cert, "RealHost", lambda: host)
        patch.setattr(cert, "get_paths", lambda: PATHS)
        before = len(host.effects)
        cert.revoke(as_json=True)
    return len(host.effects) - before


@pytest.mark.parametrize("number", range(effects_of_a_revocation()))
def test_killed_at_any_effect_the_next_run_has_the_first_one_revoked(host, number):
    old = served(host)
    host.die_before = len(host.effects) + number
    with pytest.raises(Killed):
        cert.revoke(as_json=True)
    host.die_before = None
    cert.revoke(as_json=True)
    assert f"{old} unspecified" in revoked(host) and served(host) != old


def test_a_rejected_nonce_is_no_refusal_of_a_revocation(host):
    nonce = "An unexpected error occurred:\nJWS has an invalid anti-replay nonce: 3iW\n"
    answering(host, "revoke", Result(1, "", nonce))
    cert.revoke(as_json=True)
    assert len(revoked(host)) == 2


def test_without_a_replacement_it_is_served_until_the_timer_fetches_a_new_one(host):
    old = served(host)
    said = cert.revoke(replace=False, as_json=True)
    assert "until a new one comes, within an hour" in said.as_text() and served(host) == old
    assert renew(host, PATHS, SilentProgress()).obtained and served(host) != old


def test_a_revocation_that_takes_too_long_is_told_as_one(host):
    def hanging(argv, **options):
        raise TljhError(f"{Path(argv[0]).name} did not finish")

    host.run = hanging
    with pytest.raises(TljhError, match="did not revoke the certificate within 7 s"):
        cert.revoke(replace=False, timeout_s=7, as_json=True)
