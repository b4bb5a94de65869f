"""What scripts, frames and workers of other pages get from the hub's pages."""

from __future__ import annotations

import pytest
import requests

from tests.hub.process.running import Browser, running_hub

DUMMY = "auth: {type: dummy, allow_all: true}\n"
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
PAGES = (
    *("/home", "/token", "/login", "/logout", "/spawn", "/admin", "/spawn-pending/ada"),
    *("/nosuch", "/health", "/metrics", "/security/csp-report", "/api/oauth2/authorize"),
    *("/user/ada/", "/user/ada/api/x", "/user/nobody/", "/user-redirect/lab", "/accept-share"),
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with running_hub(tmp_path_factory.mktemp("hub"), DUMMY) as hub:
        yield hub


@pytest.fixture
def ada(hub):
    browser = Browser(hub)
    browser.login("ada", "x")
    return browser


@pytest.mark.parametrize("path", PAGES)
def test_no_script_gets_a_page_that_may_have_a_token_in_it(ada, path):
    for method in ("GET", "POST"):
        answer = ada.session.request(method, ada.hub.url + path, headers=SCRIPT)
        assert answer.status_code >= 400
        assert "_xsrf" not in answer.text.replace("'_xsrf' argument missing", "")
        assert "jhdata" not in answer.text
    assert ada.name == "ada"


@pytest.mark.parametrize("purpose", ["iframe", "frame", "object", "embed", "image", "script"])
def test_no_other_page_loads_a_page_of_the_hub_as_a_part(ada, purpose):
    for path in ("/home", "/logout"):
        answer = ada.get(path, headers={"Sec-Fetch-Dest": purpose})
        assert answer.status_code == 403
    assert ada.name == "ada"


def test_pages_of_the_hub_work_for_visitors_and_for_their_own_scripts(ada):
    page = ada.get("/home", headers={"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"})
    assert page.status_code == 200
    token = ada.session.cookies.get("_xsrf")
    own = ada.get("/api/user", headers={**SCRIPT, "X-XSRFToken": token})
    assert own.json()["name"] == "ada"
    logo = ada.get("/logo", headers={"Sec-Fetch-Dest": "image"})
    style = ada.get("/static/css/style.min.css", headers={"Sec-Fetch-Dest": "style"})
    assert (logo.status_code, style.status_code) == (200, 200)


def test_a_server_can_send_its_frames_to_log_in(ada):
    answer = ada.get(
        "/api/oauth2/authorize", headers={"Sec-Fetch-Dest": "iframe"}, allow_redirects=False
    )
    assert answer.status_code != 403


@pytest.mark.parametrize("path", ["/login", "/static/js/x.js", "/../user/eve/worker.js"])
def test_no_service_worker_is_loaded_from_the_hub(hub, path):
    answer = Browser(hub).get(path, headers={"Service-Worker": "script"})
    assert answer.status_code == 403
    assert answer.headers["Clear-Site-Data"] == '"storage"'


@pytest.mark.parametrize("path", ["/login", "/static/nosuch", "/logo", "/health", "/api/", "/x"])
def test_every_answer_keeps_frames_and_openers_out(hub, path):
    headers = Browser(hub).get(path).headers
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_what_a_page_stored_is_cleared_at_a_login_and_a_logout(ada):
    assert "Clear-Site-Data" not in ada.get("/home").headers
    assert ada.get("/logout", allow_redirects=False).headers["Clear-Site-Data"] == '"storage"'
    assert Browser(ada.hub).get("/login").headers["Clear-Site-Data"] == '"storage"'


def test_cookies_that_a_page_planted_are_deleted_at_the_logout(ada):
    ada.session.cookies.set("planted", "x", path="/hub/", domain="127.0.0.1")
    ada.session.cookies.set("tljh-planted", "x", path="/hub/", domain="127.0.0.1")
    answer = ada.get("/logout", allow_redirects=False)
    deletions = answer.raw.headers.getlist("Set-Cookie")
    for path in ("/hub/", "/hub", "/hub/logout"):
        assert f"planted=x; Path={path}; Max-Age=0" in deletions
        assert f"tljh-planted=x; Path={path}; Max-Age=0" in deletions
    assert "tljh-planted=x; Path=/; Max-Age=0" in deletions
    assert "planted=x; Path=/; Max-Age=0" not in deletions


def test_a_logout_ends_the_session_in_every_browser(hub):
    ada, copy = Browser(hub), Browser(hub, address="192.0.2.9")
    ada.login("ada", "x")
    copy.session.cookies.update(ada.session.cookies)
    assert copy.name == "ada"
    ada.get("/logout")
    assert copy.name is None


def test_an_admin_who_allows_frames_gets_them(tmp_path):
    drop_in = (
        "c.JupyterHub.tornado_settings = {'headers': {'Content-Security-Policy':"
        " 'frame-ancestors https://lms.test'}}"
    )
    with running_hub(tmp_path, DUMMY, drop_in) as hub:
        answer = Browser(hub).get("/login", headers={"Sec-Fetch-Dest": "iframe"})
        assert answer.status_code == 200
        assert answer.headers["Content-Security-Policy"] == "frame-ancestors https://lms.test"
        assert Browser(hub).get("/login", headers=SCRIPT).status_code == 403


def test_the_hubs_pages_are_at_the_hubs_own_host_only(tmp_path):
    drop_in = "c.JupyterHub.subdomain_host = 'http://hub.test'"
    with running_hub(tmp_path, DUMMY, drop_in) as hub:
        for path in ("/hub/login", "/hub/api/", "/hub/home", "/user/bob/lab?x=1"):
            answer = requests.get(
                hub.url.removesuffix("/hub") + path,
                headers={"Host": "bob.hub.test"},
                allow_redirects=False,
            )
            assert (answer.status_code, answer.headers["Location"]) == (
                302,
                f"http://hub.test{path}",
            )
        posted = requests.post(f"{hub.url}/login", headers={"Host": "bob.hub.test"})
        assert posted.status_code == 404
        own = requests.get(f"{hub.url}/login", headers={"Host": "hub.test"})
        assert own.status_code == 200


def _delete(session, answer):
    """Do what a browser does with the headers that delete cookies, which requests does not."""
    for header in answer.raw.headers.getlist("Set-Cookie"):
        if "Max-Age=0" not in header or "Domain=" in header or "Partitioned" in header:
            continue
        name, path = header.partition("=")[0], header.partition("Path=")[2].partition(";")[0]
        for cookie in [c for c in session.cookies if (c.name, c.path) == (name, path)]:
            session.cookies.clear(cookie.domain, cookie.path, cookie.name)


@pytest.mark.parametrize("path", ["/hub/", "/hub/login", "/hub", "/"])
def test_a_planted_cookie_of_the_hubs_names_keeps_nobody_from_a_login(hub, path):
    bob = Browser(hub)
    bob.login("bob", "x")
    own = {name: bob.session.cookies.get(name) for name in ("_xsrf", "jupyterhub-hub-login")}
    for name, value in (*own.items(), ("jupyterhub-session-id", "s"), ("_xsrf", "garbage")):
        ada = Browser(hub)
        ada.session.cookies.set(name, value, path=path, domain="127.0.0.1")
        page = ada.get("/login", allow_redirects=False)
        if name == "jupyterhub-hub-login" and path in ("/hub/", "/hub"):
            # The session of bob himself, at the hub's own path: the visitor is bob there.
            continue
        _delete(ada.session, page)
        ada.login("ada", "x")
        assert ada.name == "ada", (name, value)


@pytest.mark.parametrize("path", ["/hub/api", "/hub/api/user", "/"])
def test_of_two_sessions_none_counts_and_the_planted_one_is_deleted(hub, ada, path):
    bob = Browser(hub)
    bob.login("bob", "x")
    planted = bob.session.cookies.get("jupyterhub-hub-login")
    ada.session.cookies.set("jupyterhub-hub-login", planted, path=path, domain="127.0.0.1")
    first = ada.get("/api/user")
    assert first.status_code == 403
    _delete(ada.session, first)
    assert ada.get("/api/user").json()["name"] == "ada"
    ada.session.cookies.set("jupyterhub-hub-login", "garbage", path=path, domain="127.0.0.1")
    assert ada.get("/api/user").json()["name"] == "ada"
