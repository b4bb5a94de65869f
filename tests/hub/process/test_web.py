"""Cookies, tokens against forgery and the CA certificate in the hub's answers."""

from __future__ import annotations

import pytest

from tests.hub.process.running import Browser, running_hub
from tljh.certificates.local_authority import read_authority
from tljh.host.fake import FakeHost
from tljh.settings.sections.https import HttpsSettings

USERS = "auth: {type: dummy, allow_all: true}\n"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with running_hub(tmp_path_factory.mktemp("hub"), USERS) as hub:
        yield hub


def cookies_of(answer) -> list[str]:
    return answer.raw.headers.getlist("Set-Cookie")


def test_over_https_every_cookie_is_secure(hub):
    browser = Browser(hub, is_https=True)
    page = cookies_of(browser.get("/login"))
    session = cookies_of(browser.login("ada", "x"))
    assert page and session
    assert [cookie for cookie in page + session if "; Secure" not in cookie] == []


def test_over_plain_http_cookies_still_work(hub):
    browser = Browser(hub)
    browser.login("ada", "x")
    assert browser.name == "ada"


def test_scripts_can_read_only_the_cookie_meant_for_them(hub):
    set_at_login = cookies_of(Browser(hub).login("ada", "x"))
    # What a page may have planted is deleted by empty cookies.
    values = [cookie for cookie in set_at_login if "max-age=0" not in cookie.lower()]
    readable = [cookie for cookie in values if "httponly" not in cookie.lower()]
    assert [cookie.partition("=")[0] for cookie in readable] in ([], ["_xsrf"])
    assert any(cookie.startswith("jupyterhub-hub-login=") for cookie in set_at_login)


@pytest.mark.parametrize("token", [None, "", "made-up", "x" * 500])
def test_a_form_that_another_site_sends_is_refused(hub, token):
    browser = Browser(hub)
    browser.get("/login")
    fields = {"username": "ada", "password": "x", **({"_xsrf": token} if token is not None else {})}
    sent = browser.session.post(f"{hub.url}/login", data=fields, allow_redirects=False)
    assert sent.status_code == 403
    assert browser.name is None


def test_an_action_of_a_logged_in_user_needs_the_token(hub):
    browser = Browser(hub)
    browser.login("ada", "x")
    sent = browser.session.post(f"{hub.url}/api/users/ada/server")
    assert sent.status_code == 403
    assert "_xsrf" in sent.text


@pytest.fixture
def write_authority(hub):
    """Write the files of a certificate authority, and delete them after the test."""
    authority = read_authority(
        FakeHost(), hub.paths.local_ca, HttpsSettings(enabled=True, mode="internal")
    )
    assert authority is not None
    files = authority.contents(hub.paths.local_ca)

    def write():
        for path, data in files.items():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        return authority

    yield write
    for path in files:
        path.unlink(missing_ok=True)


def test_the_ca_certificate_can_be_downloaded_once_there_is_one(hub, write_authority):
    assert Browser(hub).get("/ca.crt").status_code == 404
    authority = write_authority()
    answer = Browser(hub).get("/ca.crt")
    assert answer.content == authority.certificate
    assert answer.headers["Content-Type"] == "application/x-x509-ca-cert"


def test_the_page_of_a_start_says_so_when_it_has_failed(tmp_path):
    slow = 'c.JupyterHub.spawner_class = "lone_spawner.LoneSpawner"\n'
    with running_hub(tmp_path, USERS, slow) as hub:
        browser = Browser(hub)
        browser.login("slow", "x")
        browser.get("/spawn/slow", allow_redirects=False)
        page = browser.get("/spawn-pending/slow").text
        assert "You will be redirected automatically" in page
        assert "Your server did not start. The reason is below." in page
        # What is shown follows the bar of JupyterHub's page; the browser test sees it turn.
        assert 'id="progress-bar"' in page
        assert "bg-danger" in page


def test_templates_of_an_admin_replace_ours(tmp_path):
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "spawn_pending.html").write_text("the school's own page")
    drop_in = (
        'c.JupyterHub.spawner_class = "lone_spawner.LoneSpawner"\n'
        f"c.JupyterHub.template_paths = [{str(templates)!r}]\n"
    )
    with running_hub(tmp_path, USERS, drop_in) as hub:
        browser = Browser(hub)
        browser.login("slow", "x")
        browser.get("/spawn/slow", allow_redirects=False)
        assert browser.get("/spawn-pending/slow").text == "the school's own page"
