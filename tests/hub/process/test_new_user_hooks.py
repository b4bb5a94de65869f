"""Plugins' hook for new accounts: it is called until it has succeeded."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pluggy
import pytest

from tljh.base.errors import Finding
from tljh.base.paths import get_paths
from tljh.host.accounts import Account
from tljh.host.fake import FakeHost
from tljh.hub.process import new_user_hooks
from tljh.hub.process.new_user_hooks import call_pending_hooks, ensure_marked_account
from tljh.plugins import hookspecs, plugin_checks
from tljh.plugins.checks import CheckedMachine
from tljh.plugins.guard import PluginError
from tljh.plugins.selection import PluginSelection

hookimpl = pluggy.HookimplMarker("tljh")
ANN = Account("jupyter-ann", "ann")


class Course:
    """A plugin whose hook fails while `error` is set."""

    def __init__(self) -> None:
        self.error: Exception | None = RuntimeError("the quota server is away")
        self.called_for: list[str] = []
        self.waits = False
        self.released = threading.Event()

    @hookimpl
    def tljh_new_user_create(self, username: str) -> None:
        self.called_for.append(username)
        if self.waits:
            self.released.wait(60)
        if self.error:
            raise self.error


@pytest.fixture
def course(monkeypatch: pytest.MonkeyPatch) -> Course:
    manager, course = pluggy.PluginManager("tljh"), Course()
    manager.add_hookspecs(hookspecs)
    manager.register(course, "course")
    monkeypatch.setattr(new_user_hooks, "load_hub_plugins", lambda: manager)
    return course


def start(host: FakeHost) -> Sequence[Finding]:
    ensure_marked_account(host, ANN)
    return call_pending_hooks(host, ANN)


def make_host() -> FakeHost:
    host = FakeHost()
    for directory in reversed(get_paths().new_accounts.parents):
        host.mkdir(directory, mode=0o755)
    return host


def test_a_hook_that_fails_is_called_again_at_each_start_until_it_succeeds(course: Course) -> None:
    host = make_host()
    for _ in range(2):
        (finding,) = start(host)
        assert "in tljh_new_user_create" in finding.what
        assert "the quota server is away" in finding.what
        assert finding.where
        assert finding.where.path == __file__
    subject = CheckedMachine(host, get_paths(), None, None)
    assert [reported for _, reported in plugin_checks.CHECKS[0].look(subject)] == [finding]
    course.error = None
    for _ in range(2):
        assert not start(host)
    assert course.called_for == ["jupyter-ann"] * 3
    assert host.listdir(get_paths().new_accounts) == []


def test_no_server_starts_without_a_required_plugin(course, monkeypatch) -> None:
    selection = PluginSelection(required=("course",))
    monkeypatch.setattr(new_user_hooks, "read_selection", lambda paths: selection)
    with pytest.raises(PluginError, match="plugin course failed"):
        start(make_host())


def test_a_hook_that_hangs_is_named_and_does_not_keep_the_server(course, monkeypatch) -> None:
    course.error = None
    course.waits = True
    monkeypatch.setattr(new_user_hooks, "TIMEOUT_S", 0.2)
    results: list[Sequence[Finding]] = []
    thread = threading.Thread(target=lambda: results.append(start(make_host())))
    thread.start()
    thread.join(30)
    course.released.set()
    assert "plugin course hangs in tljh_new_user_create" in results[0][0].what
    assert results[0][0].where


def test_an_account_that_exists_already_is_no_new_one(course: Course) -> None:
    host = make_host()
    course.error = None
    start(host)
    course.called_for.clear()
    start(host)
    assert course.called_for == []
