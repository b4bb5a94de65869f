from __future__ import annotations

from pathlib import Path

import pytest

from tests.certificates.authority import NOW, Issued, issue
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.certificates import own_files as own
from tljh.certificates.own_files import (
    await_pair,
    choose_own_certificate,
    find_certificate_warnings,
    find_file_problems,
    find_pair_problems,
    read_files,
)
from tljh.certificates.units import WATCH, watch_units
from tljh.certificates.x509 import TlsPair
from tljh.engine.plan import plan
from tljh.host.fake import FakeHost
from tljh.host.interface import FileInfo, UnitInfo
from tljh.settings.sections.https import HttpsSettings, TlsSettings

CERT, KEY = Path("/home/ada/hub 100%.crt"), Path("/home/ada/hub.key")
HTTPS = HttpsSettings(
    enabled=True, domains=["hub.example.org"], tls=TlsSettings(cert=str(CERT), key=str(KEY))
)
ROOT = issue("Root", is_authority=True, to_day=900)
GOOD = issue("hub", ["hub.example.org"], by=ROOT)
NEW = issue("hub", ["hub.example.org"], by=ROOT)
OLD = issue("hub", ["hub.example.org"], by=ROOT, to_day=-1)


@pytest.fixture(autouse=True)
def at_noon(monkeypatch):
    monkeypatch.setattr(own, "get_utc_time", lambda: NOW)


def put(host: FakeHost, cert: Issued | None = None, key: Issued | None = None) -> FakeHost:
    for path, data in ((CERT, cert and cert.pem), (KEY, key and key.key_pem())):
        if data:
            host.files[path] = (FileInfo("file", 0o600, "ada", "ada"), data)
    return host


def pair(issued: Issued) -> TlsPair:
    return TlsPair(issued.pem, issued.key_pem())


def whats(https: HttpsSettings, host: FakeHost, served: Issued) -> list[str]:
    return [
        finding.what for finding in find_file_problems(https, read_files(host, https), pair(served))
    ]


def test_good_pair_is_what_is_served():
    host = put(FakeHost(), GOOD, GOOD)
    served = choose_own_certificate(HTTPS, read_files(host, HTTPS))
    assert (served.chain, served.key) == (GOOD.pem, GOOD.key_pem())


def test_expired_certificate_is_refused_with_its_file():
    with pytest.raises(TljhError) as failed:
        choose_own_certificate(HTTPS, read_files(put(FakeHost(), OLD, OLD), HTTPS))
    (finding,) = failed.value.findings
    assert "has expired" in finding.what
    assert finding.where and finding.where.path == str(CERT)


def test_file_that_is_gone_is_named():
    with pytest.raises(TljhError, match=r"https\.tls\.key names a file that cannot be read"):
        choose_own_certificate(HTTPS, read_files(put(FakeHost(), GOOD), HTTPS))


def test_what_is_served_already_goes_on_though_it_has_expired_and_is_told():
    files = read_files(put(FakeHost(), OLD, OLD), HTTPS)
    assert choose_own_certificate(HTTPS, files, pair(OLD)) == pair(OLD)
    assert any("has expired" in problem.what for problem in find_certificate_warnings(HTTPS, files))
    with pytest.raises(TljhError, match="has expired"):
        choose_own_certificate(HTTPS, files, pair(GOOD))


def test_mismatch_leaves_room_for_the_edit_that_brings_the_other_file():
    (problem,) = find_pair_problems(HTTPS, read_files(put(FakeHost(), GOOD, NEW), HTTPS))
    assert problem.severity == "incomplete"


def test_name_that_does_not_fit_is_told_at_a_reload():
    https = HTTPS.model_copy(update={"domains": ["other.example.org"]})
    files = read_files(put(FakeHost(), GOOD, GOOD), https)
    whats = [problem.what for problem in find_certificate_warnings(https, files)]
    assert [what for what in whats if "no chain" not in what] == [
        f"https.tls.cert is not for other.example.org: {CERT}"
    ]
    off = https.model_copy(update={"enabled": False})
    assert find_certificate_warnings(off, files) == []


def test_second_file_is_waited_for():
    host = put(FakeHost(), NEW, GOOD)
    arrives_s = 1.0
    pause = host.pause

    def pause_and_copy(seconds: float) -> None:
        pause(seconds)
        if host.clock_s >= arrives_s:
            put(host, NEW, NEW)

    host.pause = pause_and_copy  # type: ignore[method-assign]
    await_pair(host, HTTPS)
    assert arrives_s <= host.clock_s < own.SECOND_FILE_S


def test_waiting_for_a_file_that_never_comes_has_an_end():
    host = put(FakeHost(), NEW, GOOD)
    await_pair(host, HTTPS)
    assert own.SECOND_FILE_S <= host.clock_s < own.SECOND_FILE_S + 1


def test_bad_replacement_is_told_with_the_comfort_that_the_old_one_is_served():
    files = read_files(put(FakeHost(), OLD, OLD), HTTPS)
    (finding,) = find_file_problems(HTTPS, files, pair(GOOD))
    assert "has expired" in finding.what
    assert finding.why and finding.why.endswith(own.STILL_SERVED)


def test_certificate_that_nobody_took_up_is_told():
    host = put(FakeHost(), NEW, NEW)
    assert whats(HTTPS, host, GOOD) == ["a new certificate is not served yet"]
    assert whats(HTTPS, host, NEW) == []


def test_certificate_that_ends_soon_is_told():
    soon = issue("hub", ["hub.example.org"], by=ROOT, from_day=-80, to_day=3)
    host = put(FakeHost(), soon, soon)
    assert ["expires on 2026-11-24" in what for what in whats(HTTPS, host, soon)] == [True]


def test_both_files_are_watched_whatever_their_names_hold():
    host = FakeHost()
    steps = plan(watch_units(HTTPS, Paths()), host).steps
    assert [step.title for step in steps] == [
        f"file /etc/systemd/system/{WATCH}",
        f"unit {WATCH}",
    ]
    unit = steps[0].resource.data.decode()  # type: ignore[attr-defined]
    assert "PathChanged=/home/ada/hub 100%%.crt\nPathChanged=/home/ada/hub.key\n" in unit


def test_nothing_is_watched_in_other_modes():
    off = HTTPS.model_copy(update={"mode": "internal"})
    host = FakeHost()
    assert not plan(watch_units(off, Paths()), host)
    file = Paths().units_dir / WATCH
    host.files[file] = (FileInfo("file", 0o644, "root", "root"), b"[Path]\n")
    host.unit_states[WATCH] = UnitInfo(WATCH, active="active", enabled="enabled")
    steps = plan(watch_units(off, Paths()), host).steps
    assert [(step.title, step.difference.sign) for step in steps] == [
        (f"unit {WATCH}", "-"),
        (f"absent {file}", "-"),
    ]
