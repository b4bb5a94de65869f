"""The check whether a machine qualifies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tljh_installer.facts import Listener, MachineFacts, PythonInterpreter
from tljh_installer.options import Options
from tljh_installer.preflight import refusals

FINE = MachineFacts(free_bytes={"/opt/tljh": 20 << 30, "/var": 20 << 30})
PLAIN = Options()


def whats(facts: MachineFacts, options: Options = PLAIN) -> list[str]:
    return [finding.what for finding in refusals(facts, options)]


@pytest.mark.parametrize(
    ("os_id", "version"),
    [("debian", "12"), ("debian", "13"), ("debian", ""), ("ubuntu", "22.04"), ("ubuntu", "26.04")],
)
def test_supported_distributions_qualify(os_id: str, version: str) -> None:
    assert whats(replace(FINE, os_id=os_id, os_version=version)) == []


@pytest.mark.parametrize(
    ("os_id", "version"),
    [("debian", "11"), ("ubuntu", "20.04"), ("fedora", "44"), ("", ""), ("linuxmint", "22")],
)
def test_other_distributions_are_refused(os_id: str, version: str) -> None:
    (what,) = whats(replace(FINE, os_id=os_id, os_version=version, os_name="Some Linux"))
    assert what == "Some Linux is not supported"


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        (replace(FINE, architecture="i686"), "i686"),
        (replace(FINE, has_systemd=False), "systemd"),
        (replace(FINE, uid=1000), "root"),
        (
            replace(FINE, python=PythonInterpreter("/usr/bin/python3", (3, 9, 2))),
            "/usr/bin/python3",
        ),
        (replace(FINE, memory_bytes=512 << 20), "512 MB"),
        (replace(FINE, free_bytes={"/opt/tljh": 1 << 30}), "/opt/tljh"),
        (replace(FINE, free_bytes={"/opt/tljh": 9 << 30, "/var": 1 << 20}), "/var"),
        (replace(FINE, previous="foreign", previous_detail="games"), "another program"),
        (replace(FINE, foreign_commands={"/usr/bin/tljh-config": "a link"}), "tljh-config"),
        (replace(FINE, listeners=(Listener(80, "nginx", 612),)), "nginx (process 612)"),
        (replace(FINE, listeners=(Listener(15001, "java", 7),)), "15001"),
        (replace(FINE, clock_offsets_s=(-86400.0, -86399.0)), "24 hours behind"),
        (replace(FINE, index_problems={"https://m.example/simple": "answered 500"}), "m.example"),
        (replace(FINE, channel_problems={"conda-forge": "no answer"}), "conda-forge"),
    ],
)
def test_each_refusal_names_what_is_wrong_and_has_a_fix(facts: MachineFacts, word: str) -> None:
    (finding,) = refusals(facts, PLAIN)
    assert word in finding.what
    assert finding.fix


def test_a_certificate_that_is_not_valid_yet_raises_doubts_about_the_clock() -> None:
    reason = "certificate verify failed: certificate is not yet valid"
    facts = replace(FINE, index_problems={"https://m.example/simple": reason})
    assert "the clock of this machine may be wrong" in whats(facts)


def test_all_reasons_are_reported_at_once() -> None:
    facts = replace(
        FINE, os_id="arch", uid=1000, memory_bytes=1, listeners=(Listener(443, "nginx", 1),)
    )
    assert len(whats(facts)) == 4


def test_a_used_port_is_refused_with_the_option_to_choose_another() -> None:
    facts = replace(FINE, listeners=(Listener(80, "nginx", 612), Listener(443, "nginx", 612)))
    fixes = [str(finding.fix) for finding in refusals(facts, PLAIN)]
    assert "--http-port" in fixes[0]
    assert "--https-port" in fixes[1]


def test_chosen_ports_are_checked_instead_of_the_defaults() -> None:
    facts = replace(FINE, listeners=(Listener(80, "nginx", 612), Listener(8080, "java", 5)))
    assert whats(facts, Options(http_port=8000)) == []
    assert len(whats(facts, Options(http_port=8080))) == 1


def test_ports_of_our_own_services_are_fine_on_a_second_run() -> None:
    ours = (Listener(80, "traefik", 9, is_ours=True), Listener(15001, "python3", 8, is_ours=True))
    facts = replace(FINE, previous="ours", listeners=ours)
    assert whats(facts) == []
    assert whats(facts, Options(http_port=80)) == []


def test_nobody_is_advised_to_stop_the_littlest_jupyterhub() -> None:
    theirs = (Listener(80, "traefik", 9, is_ours=True), Listener(15001, "python3", 8, is_ours=True))
    facts = replace(FINE, previous="tljh", listeners=(*theirs, Listener(443, "nginx", 5)))
    assert whats(facts) == []
    asked = whats(facts, Options(https_port=443))
    assert asked == ["port 443 is used by nginx (process 5)"]


def test_what_hinders_a_takeover_is_said_with_what_to_do() -> None:
    problems = (("it is older than release 1.0", "upgrade it first"),)
    facts = replace(FINE, previous="tljh", takeover_problems=problems)
    (finding,) = refusals(facts, Options())
    assert "cannot be taken over: it is older than release 1.0" in finding.what
    assert finding.fix == "upgrade it first"


def test_a_backup_is_not_restored_over_the_littlest_jupyterhub() -> None:
    (what,) = whats(replace(FINE, previous="tljh"), Options(restore="/backups"))
    assert "Littlest" in what


def test_a_second_run_needs_less_disk_space_than_the_first() -> None:
    facts = replace(FINE, free_bytes={"/opt/tljh": 2 << 30})
    assert len(whats(facts)) == 1
    assert whats(replace(facts, previous="ours")) == []


def test_one_server_with_a_wrong_clock_does_not_matter() -> None:
    assert whats(replace(FINE, clock_offsets_s=(90000.0, 2.0))) == []


def test_the_prefix_is_named_as_it_was_chosen() -> None:
    facts = replace(FINE, previous="foreign", previous_detail="games")
    (finding,) = refusals(facts, Options(prefix=Path("/srv/hub")))
    assert "/srv/hub" in finding.what
    assert "TLJH_INSTALL_PREFIX" in str(finding.fix)
