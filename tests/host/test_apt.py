"""apt-get while the machine updates itself, and with connections that break."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.base.progress import LineProgress
from tljh.host import apt
from tljh.host.fake import FakeHost
from tljh.host.interface import Result

HELD = Result(
    100, "", "E: Could not get lock /var/cache/apt/archives/lock. It is held by process 7 (apt)"
)


def test_an_install_waits_while_another_one_downloads():
    answers = iter([HELD, HELD, Result(0)])
    host = FakeHost(answers={"apt-get": lambda argv: next(answers)})
    output = io.StringIO()
    apt.install(host, ["git"], LineProgress(output))
    assert next(answers, None) is None
    assert output.getvalue().count("waiting for process 7 (apt)") == 1
    assert "run apt-get update" not in " ".join(host.effects)


def test_the_wait_has_a_deadline_and_the_error_names_the_holder():
    host = FakeHost(answers={"apt-get": HELD})
    with pytest.raises(TljhError, match=r"process 7 \(apt\) has held"):
        apt.install(host, ["git"], LineProgress(io.StringIO()))
    assert apt.LOCK_TIMEOUT_S <= host.clock_s < 2 * apt.LOCK_TIMEOUT_S


NOTHING_HERE = Result(100, "", "E: Unable to fetch some archives, maybe run apt-get update")
UNKNOWN = Result(100, "", "E: Unable to locate package gti")


def verbs_of(host: FakeHost) -> list[str]:
    """Return the verb of each call of apt-get."""
    verbs = ("--no-download", "--download-only", "update")
    calls = [effect for effect in host.effects if effect.startswith("run apt-get")]
    return [word for call in calls for word in call.split() if word in verbs]


def test_what_was_downloaded_before_is_installed_without_the_network():
    host = FakeHost()
    apt.install(host, ["git"], LineProgress(io.StringIO()))
    assert verbs_of(host) == ["--no-download"]


def test_a_download_that_hangs_is_stopped_and_tried_again():
    hang = TljhError("apt-get did not end within 240 s")
    answers = {
        "--no-download": iter([NOTHING_HERE, Result(0)]),
        "--download-only": iter([hang, hang, Result(0)]),
        "update": iter([Result(0), Result(0)]),
    }

    def answer(argv):
        result = next(next(answers[word] for word in argv if word in answers))
        if isinstance(result, TljhError):
            raise result
        return result

    host = FakeHost(answers={"apt-get": answer})
    apt.install(host, ["git"], LineProgress(io.StringIO()))
    assert verbs_of(host) == [
        "--no-download",
        *["--download-only", "update"] * 2,
        "--download-only",
        "--no-download",
    ]


def test_a_network_that_always_hangs_is_reported_after_some_attempts():
    def answer(argv):
        if "--no-download" in argv:
            return NOTHING_HERE
        raise TljhError("apt-get did not end within 240 s")

    host = FakeHost(answers={"apt-get": answer})
    with pytest.raises(TljhError, match="did not end within 240 s"):
        apt.install(host, ["git"], LineProgress(io.StringIO()))
    assert verbs_of(host).count("--download-only") == apt.DOWNLOAD_ATTEMPTS


def test_a_package_that_is_unknown_to_fresh_lists_is_not_tried_again():
    host = FakeHost(answers={"apt-get": lambda argv: Result(0) if "update" in argv else UNKNOWN})
    with pytest.raises(TljhError, match="Unable to locate package gti"):
        apt.install(host, ["gti"], LineProgress(io.StringIO()))
    assert verbs_of(host).count("update") == 1


def options_of(host: FakeHost) -> str:
    return " ".join(effect for effect in host.effects if effect.startswith("run apt-get"))


def test_proxy_cas_and_logins_reach_apt_and_no_secret_its_arguments():
    host = FakeHost(answers={"--no-download": NOTHING_HERE})
    variables = {
        "https_proxy": "http://me:secret@proxy:3128",
        "SSL_CERT_FILE": "/etc/ca.pem",
        "NETRC": "/root/packages.netrc",
    }
    with contextlib.suppress(TljhError):
        apt.install(host, ["git"], LineProgress(io.StringIO()), variables)
    assert "secret" not in options_of(host)
    sources = apt.read_sources(host, variables)
    assert sources.variables == {"https_proxy": "http://me:secret@proxy:3128"}
    assert "Acquire::https::CaInfo=/etc/ca.pem" in sources.options
    assert "Dir::Etc::netrc=/root/packages.netrc" in sources.options
    assert "secret" not in repr(sources)


def test_a_bundle_is_the_only_source_of_the_packages_that_it_has():
    host = FakeHost()
    host.mkdir(Path("/var"), mode=0o755)
    for directory in ("/var/cache", "/var/cache/tljh", "/run", "/b", "/b/apt"):
        host.mkdir(Path(directory), mode=0o755)
    host.write(Path("/b/apt/Packages"), b"Package: git\nVersion: 1\n\n", mode=0o644)
    apt.install(host, ["git"], LineProgress(io.StringIO()), {"TLJH_BUNDLE": "/b"})
    assert host.read(Path("/run/tljh-bundle.list")) == b"deb [trusted=yes] file:/b/apt ./\n"
    assert "Dir::Etc::SourceParts=/dev/null" in options_of(host)
    assert verbs_of(host) == ["update"]
    host.effects.clear()
    apt.install(host, ["restic"], LineProgress(io.StringIO()), {"TLJH_BUNDLE": "/b"})
    assert "SourceParts" not in options_of(host) and verbs_of(host) == ["--no-download"]


def test_package_lists_are_fetched_in_the_same_way():
    host = FakeHost()
    assert apt.refresh(host, {"SSL_CERT_FILE": "/etc/ca.pem"}, 60).ok
    assert "update -qq -o Acquire::https::CaInfo=/etc/ca.pem" in options_of(host)
