"""What the hub's pages show: title, logo, links, texts, templates, announcements."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.hub.process.running import Browser, RunningHub, running_hub
from tljh.base.clock import get_utc_time
from tljh.hub.announcement import Announcement

TEXT = """\
auth: {type: dummy}
pages:
  title: Physics <101>
  logo: LOGO
  help_links: {Course & exam: "https://example.org/?a=1&b=2"}
  login_text: Use your <student> number
  announcement: |-
    Room <12>
    is closed
  templates: templates
"""


def prepare(hub: RunningHub) -> None:
    templates = hub.paths.hub_drop_ins / "templates"
    templates.mkdir(parents=True)
    (templates / "home.html").write_text(
        "{% extends 'templates/home.html' %}\n{% block main %}the school's page{% endblock %}"
    )


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    directory = tmp_path_factory.mktemp("hub")
    logo = directory / "logo.svg"
    logo.write_text("<svg>ours</svg>")
    with running_hub(directory, TEXT.replace("LOGO", str(logo)), prepare=prepare) as hub:
        yield hub


def test_login_page_shows_title_links_and_texts_without_their_html(hub: RunningHub) -> None:
    page = Browser(hub).get("/login").text
    assert "<title>Physics &lt;101&gt;</title>" in page
    assert "Use your &lt;student&gt; number" in page
    assert 'href="https://example.org/?a=1&amp;b=2">Course &amp; exam</a>' in page
    assert "Room &lt;12&gt;<br>is closed" in page
    assert 'name="password"' in page


def test_logo_is_the_admins(hub: RunningHub) -> None:
    answer = Browser(hub).get("/logo")
    assert answer.text == "<svg>ours</svg>"
    assert answer.headers["Content-Type"].startswith("image/svg")


def test_template_of_the_directory_replaces_the_page(hub: RunningHub) -> None:
    browser = Browser(hub)
    browser.login("alice", "x")
    page = browser.get("/home").text
    assert "the school's page" in page
    assert "<title>Physics &lt;101&gt;</title>" in page
    assert "Use your" not in page


@pytest.fixture
def announcement_file(hub: RunningHub) -> Iterator[Path]:
    yield hub.paths.announcement_file
    hub.paths.announcement_file.unlink(missing_ok=True)


def test_announcement_is_shown_and_removed_without_a_restart(
    hub: RunningHub, announcement_file: Path
) -> None:
    process = hub.process
    browser = Browser(hub)
    assert "exam <b>" not in browser.get("/login").text
    announcement_file.write_bytes(Announcement("exam <b>\ntoday").as_bytes())
    page = browser.get("/login").text
    assert "exam &lt;b&gt;<br>today<br>Room &lt;12&gt;" in page
    announcement_file.unlink()
    assert "exam &lt;b&gt;" not in browser.get("/login").text
    assert hub.process is process


@pytest.mark.parametrize(("hours", "is_shown"), [(1, True), (-1, False)])
def test_announcement_ends_by_itself(
    hub: RunningHub, announcement_file: Path, hours: int, is_shown: bool
) -> None:
    until = get_utc_time() + timedelta(hours=hours)
    announcement_file.write_bytes(Announcement("maintenance", until).as_bytes())
    assert ("maintenance" in Browser(hub).get("/login").text) is is_shown


def test_damaged_announcement_does_not_break_the_pages(
    hub: RunningHub, announcement_file: Path
) -> None:
    for content in ("{", "[]", '{"text": "x"}', '{"text": "x", "until": 7}'):
        announcement_file.write_text(content)
        assert Browser(hub).get("/login").status_code == 200


def test_pages_without_settings_are_those_of_jupyterhub(tmp_path: Path) -> None:
    with running_hub(tmp_path, "auth: {type: dummy}\n") as hub:
        page = Browser(hub).get("/login").text
    assert "JupyterHub" in page.partition("</title>")[0]
    assert 'id="login-text"' not in page
