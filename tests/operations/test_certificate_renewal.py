"""Certificates of an ACME authority are obtained, served and renewed, on a machine in memory."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from tests.certificates.acme_authority import (
    DIRECTORY,
    authority_down,
    configuration,
    secure_machine,
)
from tests.certificates.authority import NOW, issue
from tests.certificates.clock import set_clock
from tests.operations.test_converge import PATHS, install, reload
from tljh.base.errors import TljhError
from tljh.base.findings import Severity
from tljh.base.progress import SilentProgress
from tljh.certificates.acme_preflight import NameProbe, check_server, warn_of_limits, warn_of_name
from tljh.certificates.acme_request import (
    PRODUCTION,
    STAGING,
    AcmeRequest,
    compute_renewal_time,
    compute_retry_time,
)
from tljh.certificates.acme_store import AttemptLedger, RequestAttempts, read_ledger
from tljh.certificates.traefik_acme_json import find_certificate
from tljh.commands import cert
from tljh.commands.cert import CertificateStatus
from tljh.host.fake import Killed
from tljh.host.interface import Response, Result
from tljh.operations.certificate_checks import check_certificates
from tljh.operations.certificate_renewal import ISSUE_COMMAND, read_certificate_state, renew, serve
from tljh.proxy.served_certificate import convert_leaf_to_der, read_configured_chain

REFUSED = Result(1, "An unexpected error occurred:\nthe authority is in a bad mood\n")


@pytest.fixture(autouse=True)
def no_conda(monkeypatch):
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])


@pytest.fixture
def host():
    result = secure_machine()
    install(result)
    return result


@pytest.fixture
def secure(host):
    reload(host, configuration("hub.example.org"))
    return host


@pytest.fixture
def seventy_days_later(monkeypatch):
    """Move the clock, so that less than a third of a certificate for ninety days is left."""
    set_clock(monkeypatch, datetime.now(timezone.utc) + timedelta(days=70))


def state(host):
    return read_certificate_state(host, PATHS)


def broken(host):
    results = check_certificates(host, PATHS)
    return [finding.what for severity, finding in results if severity is Severity.BROKEN]


def served(host):
    return convert_leaf_to_der(read_configured_chain(host, PATHS) or b"")


def obtained(host):
    return sum(item.argv[1] == "certonly" for item in host.asked)


def test_a_certificate_is_asked_for_before_anything_depends_on_https(host):
    outcome = reload(host, configuration("hub.example.org"))
    kinds = [step.resource.key for step in outcome.plan.steps]
    asked = kinds.index("certificate hub.example.org")
    names = kinds.index(f"tls-file {PATHS.traefik_dir}/dynamic/tls.yaml")
    static = kinds.index(f"file {PATHS.traefik_dir}/traefik.yaml")
    assert asked < names < static < kinds.index("unit traefik.service")
    assert reload(host).number is None  # nothing is left to do


def test_a_first_install_answers_challenges_at_the_public_port_itself():
    host = secure_machine()
    for path in (PATHS.prefix, PATHS.config_dir):
        host.mkdir(path, mode=0o755)
    host.write(PATHS.config_file, configuration("hub.example.org"), mode=0o600)
    install(host)
    assert host.asked[0].option("--http-01-port") == "80"
    assert state(host).problem is None


def test_the_route_of_challenges_is_there_before_https_is(host):
    text = (host.read(PATHS.traefik_dir / "dynamic/tljh.yaml") or b"").decode()
    assert "/.well-known/acme-challenge/" in text and "http://127.0.0.1:402" in text


def test_a_refusal_changes_nothing_and_says_what_the_authority_said(host):
    before = dict(host.files)
    host.refusal = REFUSED
    with pytest.raises(TljhError, match="bad mood") as caught:
        reload(host, configuration("hub.example.org"))
    assert "every change was rolled back" in str(caught.value)
    kept = (PATHS.acme_dir, PATHS.journal_dir, PATHS.config_file)
    for path, entry in host.files.items():
        if not any(path == item or item in path.parents for item in kept):
            assert entry == before.get(path), path
    assert state(host).mode is None


def test_another_name_is_another_certificate_and_the_old_name_finds_the_old_one(secure):
    first = served(secure)
    reload(secure, configuration("hub.example.org", "www.example.org"))
    assert served(secure) != first
    assert state(secure).about.names == (
        "hub.example.org",
        "www.example.org",
    )
    reload(secure, configuration("hub.example.org"))
    assert served(secure) == first and obtained(secure) == 2


def test_off_and_on_again_asks_for_nothing(secure):
    first = served(secure)
    reload(secure, configuration("hub.example.org", enabled=False))
    assert read_configured_chain(secure, PATHS) is None
    reload(secure, configuration("hub.example.org"))
    assert served(secure) == first and obtained(secure) == 1


def test_from_the_test_authority_to_the_real_one_a_new_one_is_asked_for(host):
    host.responses[STAGING] = host.responses[PRODUCTION] = Response(200, "{}")
    real = configuration("hub.example.org").replace(f"    server: {DIRECTORY}\n".encode(), b"")
    reload(host, real.replace(b"letsencrypt:\n", b"letsencrypt:\n    staging: true\n"))
    first = served(host)
    assert CertificateStatus(state(host)).exit_code == 1
    reload(host, real)
    assert [item.option("--server") for item in host.asked] == [STAGING, PRODUCTION]
    assert served(host) != first
    assert CertificateStatus(state(host)).exit_code == 0


def test_order_of_names_is_no_reason_for_another_certificate():
    item, other = (AcmeRequest(names) for names in (("a.org", "b.org"), ("b.org", "a.org")))
    assert item.key == other.key
    assert item.key != replace(item, key_type="rsa").key != replace(item, server=DIRECTORY).key


def test_a_proxy_that_does_not_take_it_up_is_told_and_undone(host):
    host.served = lambda name: None
    with pytest.raises(TljhError, match="does not serve the certificate"):
        reload(host, configuration("hub.example.org"))
    assert read_configured_chain(host, PATHS) is None
    host.served = lambda name: convert_leaf_to_der(read_configured_chain(host, PATHS))
    reload(host, configuration("hub.example.org"))
    assert obtained(host) == 1  # the first was kept


def effects_of_a_first_certificate():
    host = secure_machine()
    with pytest.MonkeyPatch.context() as patch:
        conda = "tljh.conda.resources.resources"
        patch.setattr(conda, lambda *_, **__: [])
        install(host)
        before = len(host.effects)
        reload(host, configuration("hub.example.org"))
    return len(host.effects) - before


@pytest.mark.parametrize("number", range(effects_of_a_first_certificate()))
def test_killed_at_any_effect_the_next_reload_serves_the_certificate(host, number):
    host.die_before = len(host.effects) + number
    with pytest.raises(Killed):
        reload(host, configuration("hub.example.org"))
    host.die_before = None
    reload(host)
    assert state(host).problem is None
    assert obtained(host) <= 2


# Renewal


def test_nothing_is_renewed_before_a_third_is_left(secure):
    first = served(secure)
    assert not renew(secure, PATHS, SilentProgress()).obtained
    assert served(secure) == first


def test_at_a_third_a_new_one_is_served_without_touching_a_unit(secure, seventy_days_later):
    first, since = served(secure), len(secure.effects)
    done = renew(secure, PATHS, SilentProgress())
    assert done.obtained and done.exchanged and served(secure) != first
    assert len(secure.listdir(PATHS.traefik_dir / "certs")) == 2  # the old pair is gone
    assert not any(effect.startswith("systemctl") for effect in secure.effects[since:])


def test_a_failed_renewal_goes_on_serving_and_says_for_how_long(secure):
    first = served(secure)
    secure.refusal = REFUSED
    with pytest.raises(TljhError, match="good for another 90"):
        renew(secure, PATHS, SilentProgress(), at_once=True)
    assert served(secure) == first
    assert state(secure).last_error["why"] == "the authority is in a bad mood"


def test_a_due_renewal_that_failed_is_found_and_not_asked_for_at_once_again(
    secure, seventy_days_later
):
    secure.unit_states["tljh-cert.timer"] = replace(secure.unit("tljh-cert.timer"), active="active")
    secure.refusal = REFUSED
    with pytest.raises(TljhError):
        renew(secure, PATHS, SilentProgress())
    asked = len(secure.asked)
    waiting = renew(secure, PATHS, SilentProgress())
    assert waiting.waits_until and len(secure.asked) == asked
    ((severity, finding),) = check_certificates(secure, PATHS)
    assert severity is Severity.DEGRADED
    assert "20.0 days left" in finding.what and "bad mood" in finding.why


def test_the_fix_for_a_renewal_that_failed_asks_again_whatever_was_tried(
    secure, seventy_days_later, monkeypatch
):
    monkeypatch.setattr(cert, "RealHost", lambda: secure)
    monkeypatch.setattr(cert, "get_paths", lambda: PATHS)
    secure.refusal = REFUSED
    with pytest.raises(TljhError) as failed:
        renew(secure, PATHS, SilentProgress())
    result = [item.fix for _, item in check_certificates(secure, PATHS) if "renewed" in item.what]
    assert [*result, failed.value.findings[-1].fix] == [
        "correct the cause above; then: " + ISSUE_COMMAND
    ] * 2
    assert ISSUE_COMMAND == "sudo tljh cert issue"
    secure.refusal, asked = None, len(secure.asked)
    cert.issue(as_json=True)
    assert len(secure.asked) == asked + 1


def test_a_failure_under_a_wrong_clock_keeps_nobody_waiting_for_that_time(secure, monkeypatch):
    set_clock(monkeypatch, datetime.now(timezone.utc) + timedelta(days=365))
    secure.refusal = REFUSED
    with pytest.raises(TljhError):
        renew(secure, PATHS, SilentProgress())
    set_clock(monkeypatch, datetime.now(timezone.utc) + timedelta(days=70))
    secure.refusal = None
    assert renew(secure, PATHS, SilentProgress()).obtained


def test_what_never_reached_the_authority_is_told_and_costs_no_wait(secure, seventy_days_later):
    secure.unit_states["tljh-cert.timer"] = replace(secure.unit("tljh-cert.timer"), active="active")
    with authority_down(secure):
        with pytest.raises(TljhError, match="does not answer"):
            renew(secure, PATHS, SilentProgress())
        ((_, finding),) = check_certificates(secure, PATHS)
        assert "could not be renewed" in finding.what and "does not answer" in finding.why
    assert renew(secure, PATHS, SilentProgress()).obtained
    assert state(secure).last_error is None


def test_a_certificate_from_the_future_is_found(secure, monkeypatch):
    set_clock(monkeypatch, datetime.now(timezone.utc) - timedelta(days=2))
    assert "the certificate is not valid yet" in broken(secure)
    assert any("not valid before" in item for item in state(secure).complaints)


def test_an_expired_certificate_hinders_no_other_change(secure, monkeypatch):
    set_clock(monkeypatch, datetime.now(timezone.utc) + timedelta(days=100))
    secure.refusal = REFUSED
    more = "limits: {memory: 1G}"
    assert reload(secure, configuration("hub.example.org", more=more)).number
    assert broken(secure)


def test_edits_that_were_not_applied_have_no_effect_on_a_renewal(secure):
    secure.files[PATHS.config_file] = (
        secure.files[PATHS.config_file][0],
        configuration("other.example.org"),
    )
    renew(secure, PATHS, SilentProgress(), at_once=True)
    assert state(secure).about.names == ("hub.example.org",)


def test_a_port_that_serves_another_certificate_is_broken(secure):
    other = issue("somebody else", ["hub.example.org"])
    secure.served = lambda name: convert_leaf_to_der(other.pem)
    assert any("does not serve" in what for what in broken(secure))


def test_serving_what_is_served_changes_nothing(secure):
    since = len(secure.effects)
    assert serve(secure, PATHS, SilentProgress()) is False
    assert secure.effects[since:] == []


def test_a_broken_record_of_attempts_is_forgotten_not_fatal(secure):
    secure.write(PATHS.acme_attempts, b'{"x": 1}', mode=0o600)
    assert read_ledger(secure, PATHS) == AttemptLedger()


@pytest.mark.parametrize(
    ("life", "age", "due"),
    [(90, 59, False), (90, 61, True), (6, 3.9, False), (6, 4.1, True), (1, 0.7, True)],
)
def test_a_third_of_the_life_decides(life, age, due):
    born = NOW - timedelta(days=age)
    assert (compute_renewal_time(born, born + timedelta(days=life)) <= NOW) is due


def test_pauses_after_failures_grow_and_fit_the_time_that_is_left():
    def pause(times, left):
        until = compute_retry_time([NOW] * times, left)
        return until - NOW if until else timedelta()

    month, day = timedelta(days=30), timedelta(hours=8)
    assert pause(0, month) == timedelta()
    assert pause(1, month) == timedelta(minutes=30) < pause(3, month)
    assert pause(20, month) == timedelta(hours=12)
    assert pause(20, day) == timedelta(minutes=48)
    assert pause(5, timedelta(days=-3)) == timedelta(minutes=1)


# Before an authority is asked


def test_an_authority_that_does_not_answer_is_not_asked_by_certbot(host):
    del host.responses[DIRECTORY]
    with pytest.raises(TljhError, match=r"ca\.example\.org does not answer"):
        reload(host, configuration("hub.example.org"))
    assert host.asked == []


def test_a_wrong_clock_is_told_from_the_authoritys_answer():
    there = Response(200, "{}", {"Date": "Sat, 21 Nov 2026 14:00:00 GMT"})
    (result,) = check_server(AcmeRequest(("a.org",)), there, NOW)
    assert "clock" in result.what and "12:00" in (result.why or "")
    assert check_server(AcmeRequest(("a.org",)), there, NOW + timedelta(hours=2)) == []
    assert check_server(AcmeRequest(("a.org",)), Response(200, "", {"Date": "?"}), NOW) == []


OWN = ["10.0.0.5"]
MARKED = Response(200, "OK", {"X-Tljh-Instance": "me"})


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (NameProbe("a.org", (), Response(0, "")), ["does not resolve"]),
        (NameProbe("a.org", ("10.0.0.5",), MARKED), []),
        (NameProbe("a.org", ("10.0.0.5", "2001:db8::7"), MARKED), ["2001:db8::7", "AAAA"]),
        (NameProbe("a.org", ("203.0.113.9",), MARKED), []),
        (
            NameProbe("a.org", ("203.0.113.9",), Response(0, "timed out")),
            ["203.0.113.9", "timed out"],
        ),
        (NameProbe("a.org", ("10.0.0.5",), Response(404, "")), ["something else than this hub"]),
        (
            NameProbe("a.org", ("203.0.113.9",), Response(200, "", {"x-tljh-instance": "other"})),
            ["203.0.113.9", "something else"],
        ),
    ],
)
def test_what_looks_wrong_from_here_is_told_as_a_doubt(seen, words):
    notes = warn_of_name(seen, OWN, "me")
    assert bool(notes) is bool(words)
    assert all(word in " ".join(notes) for word in words)


def test_limits_of_lets_encrypt_that_are_used_up_are_told():
    ago = [NOW - timedelta(minutes=5)] * 5
    request = AcmeRequest(("a.org",))
    assert "within the hour" in warn_of_limits(request, RequestAttempts(failed=tuple(ago)), NOW)[0]
    assert "within a week" in warn_of_limits(request, RequestAttempts(issued=tuple(ago)), NOW)[0]
    assert (
        warn_of_limits(replace(request, server=DIRECTORY), RequestAttempts(failed=tuple(ago)), NOW)
        == []
    )
    assert (
        warn_of_limits(request, RequestAttempts(issued=tuple(ago)), NOW + timedelta(days=8)) == []
    )
    assert request.server == PRODUCTION


# Taken over from Traefik's own ACME


def acme_json(*issued, capitals=False, is_flat=False):
    def entry(item):
        result = {
            "certificate": base64.b64encode(item.pem).decode(),
            "key": base64.b64encode(item.key_pem()).decode(),
        }
        return {name.capitalize() if capitals else name: data for name, data in result.items()}

    resolver = {"Certificates": [entry(item) for item in issued], "Account": {"Email": "a@b.org"}}
    return json.dumps(resolver if is_flat else {"letsencrypt": resolver}).encode()


@pytest.mark.parametrize("form", [{}, {"capitals": True, "is_flat": True}])
def test_the_longest_valid_one_for_all_names_is_taken(form):
    short = issue("a.org", ["a.org", "b.org"], to_day=10)
    long = issue("a.org", ["a.org", "b.org"], to_day=50)
    narrow = issue("a.org", ["a.org"], to_day=80)
    over = issue("a.org", ["a.org", "b.org"], to_day=-1)
    result = find_certificate(acme_json(short, long, narrow, over, **form), ["a.org", "b.org"], NOW)
    assert result is not None and result.chain == long.pem
    assert find_certificate(acme_json(over), ["a.org"], NOW) is None


@pytest.mark.parametrize(
    "data", [None, b"", b"[]", b"{", b'{"a": {"Certificates": [{"key": 1}]}}', b'{"a": null}']
)
def test_a_file_that_holds_none_gives_none(data):
    assert find_certificate(data, ["a.org"], NOW) is None


def test_a_taken_over_certificate_serves_and_is_replaced_at_the_first_renewal(host):
    old = issue("hub.example.org", ["hub.example.org"], to_day=4000)
    host.write(PATHS.state_dir / "acme.json", acme_json(old), mode=0o600)
    reload(host, configuration("hub.example.org"))
    assert host.asked == [] and served(host) == convert_leaf_to_der(old.pem)
    assert renew(host, PATHS, SilentProgress()).obtained
    assert served(host) != convert_leaf_to_der(old.pem)


def test_a_taken_over_certificate_that_expired_hinders_no_other_change(host, monkeypatch):
    old = issue("hub.example.org", ["hub.example.org"], to_day=365)
    host.write(PATHS.state_dir / "acme.json", acme_json(old), mode=0o600)
    reload(host, configuration("hub.example.org"))
    set_clock(monkeypatch, NOW + timedelta(days=400))
    host.refusal = REFUSED
    assert reload(host, configuration("hub.example.org", more="limits: {memory: 1G}")).number
    assert served(host) == convert_leaf_to_der(old.pem)


def test_an_address_that_the_machine_got_is_missed_until_it_is_renewed(host):
    def has(*addresses: str) -> None:
        info = [{"local": address} for address in addresses]
        host.answers["ip -json address"] = Result(
            0, json.dumps([{"ifname": "eth0", "addr_info": info}])
        )

    has("10.0.0.4", "203.0.113.4")
    reload(host, b"users: {admin: [ada]}\nhttps: {enabled: true, mode: internal}\n")
    for unit in ("tljh-cert.timer", "tljh-address.service"):
        host.unit_states[unit] = replace(host.unit(unit), active="active")
    assert list(check_certificates(host, PATHS)) == []
    has("10.0.0.5", "203.0.113.5", "2001:db8::5")
    missing, forbidden = (finding for _, finding in check_certificates(host, PATHS))
    assert "not for 10.0.0.5," in missing.what and missing.fix == "sudo tljh cert renew"
    assert "not for 203.0.113.5," in forbidden.what and "https.domains" in (forbidden.fix or "")
    assert "it is not for 10.0.0.5" in read_certificate_state(host, PATHS).complaints
    renew(host, PATHS, SilentProgress())
    (forbidden,) = (finding for _, finding in check_certificates(host, PATHS))
    assert "203.0.113.5" in forbidden.what
