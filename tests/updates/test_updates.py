"""Updates by themselves, and the reboot that waits for a quiet moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.operations.test_converge import PATHS, install, machine, reload
from tljh.base.clock import get_utc_time
from tljh.base.progress import SilentProgress
from tljh.host.fake import FakeHost
from tljh.host.interface import Response, Result, UnitInfo
from tljh.hub.process.announcement import add_announcement
from tljh.operations import updates
from tljh.operations.updates import parse_packages, reboot_when_quiet
from tljh.settings.root import Config
from tljh.updates.checks import find_switch

USERS = "http://127.0.0.1:15001/hub/api/users?offset=0&limit=200"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_: [])
    host = machine()
    install(host)
    host.mkdir(Path("/run"), mode=0o755)
    host.write(Path("/run/reboot-required"), b"", mode=0o644)
    return host


def configure(host: FakeHost, section: str) -> None:
    text = (host.read(PATHS.config_file) or b"").decode()
    lines = [line for line in text.splitlines() if not line.startswith("updates:")]
    reload(host, "\n".join([*lines, f"updates: {section}", ""]).encode())


def test_updates_are_set_up_as_asked_and_the_machines_own_settings_stay_otherwise(host):
    assert host.info(PATHS.apt_updates) is None
    configure(host, "{install: security}")
    text = host.read(PATHS.apt_updates).decode()
    assert 'Unattended-Upgrade "1"' in text and "-updates" not in text
    configure(host, "{install: all}")
    assert "${distro_codename}-updates" in host.read(PATHS.apt_updates).decode()
    configure(host, "{install: unchanged}")
    assert host.info(PATHS.apt_updates) is None


def test_the_timer_of_reboots_is_there_only_when_they_are_asked_for(host):
    timer = PATHS.units_dir / "tljh-reboot.timer"
    assert host.info(timer) is None
    configure(host, "{reboot: {automatic: true, window: '*-*-* 03:30'}}")
    assert b"OnCalendar=*-*-* 03:30" in host.read(timer)
    assert host.unit("tljh-reboot.timer").is_active
    configure(host, "{}")
    assert host.info(timer) is None


def test_whether_updates_are_on_is_asked_of_apt():
    host = FakeHost()
    assert find_switch(host) == "unattended-upgrades is not installed"
    host.packages["unattended-upgrades"] = "2.9"
    on = (
        'APT::Periodic "";\nAPT::Periodic::Update-Package-Lists "1";\n'
        'APT::Periodic::Unattended-Upgrade "1";\n'
    )
    host.answers["apt-config"] = Result(0, on)
    assert find_switch(host) == "apt-daily-upgrade.timer does not run"
    timer = "apt-daily-upgrade.timer"
    host.unit_states[timer] = UnitInfo(timer, "loaded", "active")
    assert find_switch(host) is None
    for off in (on.replace('Upgrade "1"', 'Upgrade "0"'), on.replace("Update-Package", "Other")):
        host.answers["apt-config"] = Result(0, off)
        assert "is off" in str(find_switch(host))


PRINTED = """\
Starting unattended upgrades script
Allowed origins are: origin=Debian,codename=bookworm,label=Debian-Security
Packages that will be upgraded: libssl3 openssl
Writing dpkg log to /var/log/unattended-upgrades/unattended-upgrades-dpkg.log
"""


def test_the_packages_of_a_dry_run_are_read():
    assert parse_packages(PRINTED) == ["libssl3", "openssl"]
    assert parse_packages("No packages found that can be upgraded unattended\n") == []


def users(host: FakeHost, activity: Callable[[], str]) -> None:
    unit = "jupyter-ann.service"
    host.unit_states[unit] = UnitInfo(unit, "loaded", "active")

    def answer() -> Response:
        user = {"name": "ann", "admin": False, "groups": [], "created": ""}
        user |= {"servers": {"": {"ready": True}}, "last_activity": activity()}
        page = {"items": [user], "_pagination": {"next": None}}
        return Response(200, json.dumps(page))

    host.responses[USERS] = answer


@pytest.fixture
def settings(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    real = updates.examine_machine
    config = Config.model_validate({"updates": {"reboot": {"most_wait_s": 600, "warning_s": 60}}})
    monkeypatch.setattr(
        updates, "examine_machine", lambda *_: replace(real(host, PATHS), config=config)
    )


def reboots(host: FakeHost) -> bool:
    return any(effect.startswith("systemctl reboot") for effect in host.effects)


def test_no_reboot_without_an_update_that_needs_it(host, settings):
    host.remove(Path("/run/reboot-required"))
    assert not reboot_when_quiet(host, PATHS, SilentProgress(), force=False)
    assert not reboots(host)


def test_a_machine_without_servers_reboots_at_once(host, settings):
    start_s = host.monotonic_s()
    assert reboot_when_quiet(host, PATHS, SilentProgress(), force=False)
    assert reboots(host) and host.monotonic_s() == start_s


def test_a_reboot_waits_until_no_user_works_and_says_so_on_the_pages(host, settings):
    start_s = host.monotonic_s()
    texts: list[str] = []

    def activity() -> str:
        texts.append((host.read(PATHS.announcement) or b"").decode())
        idle = timedelta(seconds=0 if host.monotonic_s() - start_s < 200 else 3600)
        return (get_utc_time() - idle).isoformat()

    users(host, activity)
    assert reboot_when_quiet(host, PATHS, SilentProgress(), force=False)
    assert any("as soon as no user works" in text for text in texts)
    assert 200 <= host.monotonic_s() - start_s < 400
    assert reboots(host) and host.info(PATHS.announcement) is None


def test_a_reboot_does_not_wait_longer_than_the_limit(host, settings):
    users(host, lambda: get_utc_time().isoformat())
    start_s = host.monotonic_s()
    assert reboot_when_quiet(host, PATHS, SilentProgress(), force=False)
    assert 600 <= host.monotonic_s() - start_s < 760


def test_a_stopped_command_removes_its_announcement(host, settings, monkeypatch):
    users(host, lambda: get_utc_time().isoformat())

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(host, "pause", stop)
    with pytest.raises(KeyboardInterrupt):
        reboot_when_quiet(host, PATHS, SilentProgress(), force=False)
    assert host.info(PATHS.announcement) is None and not reboots(host)


def test_the_pages_show_the_announcement_as_text_before_the_admins(tmp_path):
    path = tmp_path / "announcement"
    other = tmp_path / "other"
    for theirs in ("<b>exam</b>", lambda user: f"<b>{user}</b>"):
        template_vars = {"announcement": theirs, "other": 1}
        announce = add_announcement(template_vars, path, other)["announcement"]
        assert announce("exam") == "<b>exam</b>"
    path.write_text("restart <script>\n")
    assert announce("exam") == "restart &lt;script&gt;<br><b>exam</b>"
    assert add_announcement({}, path, other)["announcement"]("x") == "restart &lt;script&gt;"
