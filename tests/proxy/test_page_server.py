"""The server of the page of stopped servers and of folders, asked over real connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from tests.settings.test_config import loaded
from tljh.proxy.page_server import make_application
from tljh.proxy.pages import format_page_settings, list_page_paths

BROWSER = {"Accept": "text/html,*/*"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "sub").mkdir(parents=True)
    site.chmod(0o755)
    (site / "sub").chmod(0o755)
    (tmp_path / "secret.txt").write_text("secret")
    for name in ("index.html", "a b.txt", ".env", "sub/x.txt"):
        (site / name).write_text(f"file {name}")
        (site / name).chmod(0o644)
    (site / "out").symlink_to(tmp_path)
    (site / "out.txt").symlink_to(tmp_path / "secret.txt")
    (site / "inside.txt").symlink_to("sub/x.txt")
    return site


@pytest.fixture
def site(folder: Path) -> Iterator[str]:
    settings = {
        "servers": "/user/",
        "title": "Session <over>",
        "text": "Come again.\n\nOn Monday.",
        "links": {"Start & go": "/start?a=1&b=2"},
        "folders": {"/docs/": str(folder), "/a.b/": str(folder / "sub")},
    }
    listener, port = bind_unused_port()
    started, loop = threading.Event(), asyncio.new_event_loop()

    def run() -> None:
        asyncio.set_event_loop(loop)
        HTTPServer(make_application(settings)).add_socket(listener)
        loop.call_soon(started.set)
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(10)
    yield f"http://127.0.0.1:{port}"
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


def get(url: str, **headers: str) -> requests.Response:
    request = requests.Request("GET", url, headers=headers or BROWSER).prepare()
    request.url = url  # as written: the client would shorten `..`
    with requests.Session() as session:
        return session.send(request, timeout=10, allow_redirects=False)


def test_address_of_a_stopped_server_has_the_texts_and_links_of_the_settings(site: str) -> None:
    answer = get(f"{site}/user/ann/lab?token=x")
    assert answer.status_code == 424
    assert "<h1>Session &lt;over&gt;</h1>" in answer.text and "<p>On Monday.</p>" in answer.text
    assert 'href="/start?a=1&amp;b=2">Start &amp; go<' in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_open_tabs_and_programs_get_the_status_as_json(site: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = requests.request(method, f"{site}/user/ann/api/kernels", timeout=10)
        assert answer.status_code == 424 and answer.json()["status"] == 424
    browser = get(f"{site}/user/ann/api/contents", **BROWSER)
    assert browser.headers["Content-Type"].startswith("application/json")


def test_other_addresses_are_not_found(site: str) -> None:
    for path in ("/", "/users", "/hub/login", "/docsx"):
        answer = get(site + path)
        assert answer.status_code == 404 and "Page not found" in answer.text, path


def test_folder_shows_its_files_and_index_pages_only(site: str) -> None:
    assert get(f"{site}/docs/").text == "file index.html"
    assert get(f"{site}/docs/a%20b.txt").text == "file a b.txt"
    assert get(f"{site}/docs/sub/x.txt").text == "file sub/x.txt"
    assert get(f"{site}/docs/inside.txt").text == "file sub/x.txt"
    assert get(f"{site}/a.b/x.txt").text == "file sub/x.txt"
    assert get(f"{site}/aXb/x.txt").status_code == 404
    assert get(f"{site}/docs").headers["Location"] == "/docs/"
    listing = get(f"{site}/docs/sub/")
    assert listing.status_code in (403, 404) and "x.txt" not in listing.text


@pytest.mark.parametrize(
    "path",
    [
        *("/docs/../secret.txt", "/docs/%2e%2e/secret.txt", "/docs/..%2fsecret.txt"),
        *("/docs/out/secret.txt", "/docs/out.txt", "/docs//etc/passwd", "/docs/%2fetc/passwd"),
        *("/docs/.env", "/docs/sub/%2e%2e/.env", "/docs/%00", "/docs/missing"),
    ],
)
def test_nothing_outside_the_folder_and_nothing_hidden_is_served(site: str, path: str) -> None:
    answer = get(site + path)
    assert answer.status_code in (400, 403, 404), path
    assert "secret" not in answer.text and "root:" not in answer.text


def test_files_that_others_could_have_written_are_refused(site: str, folder: Path) -> None:
    (folder / "a b.txt").chmod(0o666)
    assert get(f"{site}/docs/a%20b.txt").status_code == 403
    (folder / "sub").chmod(0o777)
    assert get(f"{site}/docs/sub/x.txt").status_code == 403


def test_which_addresses_lead_to_the_page() -> None:
    assert list_page_paths(loaded("{}")) == {}
    assert list_page_paths(loaded("base_url: /hub1")) == {"/": 1}
    assert list_page_paths(loaded("hub: {mode: api-only}")) == {"/": 1}
    program = "hub: {mode: api-only}\nproxy: {extra_routes: {/: 'http://127.0.0.1:9'}}\n"
    assert list_page_paths(loaded(program)) == {}
    before = program + "pages: {stopped_server: {before_programs: true}}\n"
    assert list_page_paths(loaded(before)) == {"/user/": None}
    assert list_page_paths(loaded("proxy: {extra_routes: {/docs: /srv/site}}")) == {"/docs/": None}


def test_without_links_of_its_own_the_page_leads_on() -> None:
    pages = format_page_settings(loaded("hub: {mode: no-pages-at-root}\nbase_url: /x"))
    assert b'"/x/hub/home"' in pages
