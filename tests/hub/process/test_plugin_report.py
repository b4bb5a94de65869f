"""Plugins that failed at a start of the hub: in its log, and in what `tljh status` prints."""

from __future__ import annotations

import pytest

from tljh.base.errors import Finding, Place
from tljh.base.paths import Paths
from tljh.host.real import RealReader
from tljh.hub.process import plugin_report
from tljh.hub.process.plugin_report import report_failures
from tljh.plugins import plugin_checks
from tljh.plugins.checks import CheckedMachine
from tljh.plugins.manager import PluginFailure

FINDING = Finding("plugin course failed", Place("/srv/course.py", 3), None, "correct it")


@pytest.fixture
def paths(tmp_path, monkeypatch) -> Paths:
    paths = Paths(tmp_path)
    paths.state_dir.mkdir(parents=True)
    monkeypatch.delenv("TLJH_APPLIED", raising=False)
    monkeypatch.setattr(plugin_report, "get_paths", lambda: paths)
    return paths


def list_findings(paths: Paths) -> list[Finding]:
    subject = CheckedMachine(RealReader(), paths, None, None)
    return [finding for check in plugin_checks.CHECKS for _, finding in check.look(subject)]


def test_failures_of_a_start_are_reported_until_a_start_has_none(paths, capsys):
    report_failures([PluginFailure("course", FINDING)], [])
    assert "warning: plugin course failed\n  at /srv/course.py, line 3" in capsys.readouterr().err
    assert list_findings(paths) == [FINDING]
    assert paths.plugin_failures.stat().st_mode & 0o777 == 0o600
    report_failures([], [])
    assert list_findings(paths) == []
    assert not paths.plugin_failures.exists()


def test_the_plugins_that_chose_the_login_are_those_of_the_last_start(paths):
    report_failures([], ["course"])
    assert paths.login_plugins.read_text() == '["course"]\n'
    report_failures([], [])
    assert paths.login_plugins.read_text() == "[]\n"


def test_a_trial_records_nothing(paths, monkeypatch):
    monkeypatch.setenv("TLJH_APPLIED", "/nonexistent")
    report_failures([PluginFailure("course", FINDING)], ["course"])
    assert list(paths.state_dir.iterdir()) == []
