"""What strangers can do at the hub's own port: bodies, slow requests, forged lines, races."""

from __future__ import annotations

import concurrent.futures
import logging
import socket
import sys
import time

import pytest
import requests

from tests.hub.process.running import TOKEN, Browser, running_hub
from tljh.host.password_store import hash_password, store_hash
from tljh.hub.process.log_lines import SafeLines
from tljh.users.claims import claim_file, make_claim

USERS = "users: {admin: [root], allowed: [ada, bea]}\n"
PASSWORD = "correct-horse-7"
ESCAPE = "\x1b[2J"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with running_hub(tmp_path_factory.mktemp("hub"), USERS) as hub:
        for name in ("ada", "bea"):
            store_hash(hub.paths.passwords, name, hash_password(PASSWORD))
        yield hub


@pytest.fixture
def ada(hub):
    browser = Browser(hub)
    assert browser.login("ada", PASSWORD).status_code == 302
    return browser


def send(hub, head: str, body: bytes = b"") -> socket.socket:
    sender = socket.create_connection(("127.0.0.1", hub.port), timeout=20)
    sender.sendall(f"{head}\r\nHost: x\r\n".encode("latin-1") + body)
    return sender


def test_a_large_body_of_a_stranger_is_refused_before_it_is_read(hub):
    for more in ("", "Authorization: token made-up\r\n", "Cookie: jupyterhub-hub-login=x\r\n"):
        head = f"POST /hub/login HTTP/1.1\r\n{more}Content-Length: 89000000"
        with send(hub, head, b"\r\n" + b"x" * 1000) as sender:
            assert sender.recv(100).startswith(b"HTTP/1.1 4")


def test_a_chunked_body_of_a_stranger_is_cut_off(hub):
    with send(hub, "POST /hub/login HTTP/1.1\r\nTransfer-Encoding: chunked") as sender:
        sender.sendall(b"\r\n" + b"10000\r\n" + b"x" * 65536 + b"\r\n10\r\n" + b"x" * 16 + b"\r\n")
        assert sender.recv(100)[:10] in (b"HTTP/1.1 4", b"")


def test_who_has_proven_who_it_is_may_send_more(hub):
    names = [f"user-{number:05}" for number in range(8000)]
    answer = requests.post(
        f"{hub.url}/api/groups/nosuch/users",
        headers={"Authorization": f"token {TOKEN}"},
        json={"users": names},
        timeout=60,
    )
    assert answer.status_code == 404


def seconds_of_login(hub, name: str, password: str) -> float:
    browser = Browser(hub, address=f"198.51.100.{abs(hash((name, password))) % 200}")
    page = browser.get("/login")
    token = page.text.partition('name="_xsrf" value="')[2].partition('"')[0]
    start_s = time.monotonic()
    browser.session.post(
        f"{hub.url}/login",
        data={"_xsrf": token, "username": name, "password": password},
        timeout=60,
    )
    return time.monotonic() - start_s


def test_a_login_takes_the_same_time_for_unknown_names(hub):
    names = ("ada", "nobody", "root", "no/such name")
    # By turns: the load of other tests changes meanwhile. Without a hash it is a twentieth.
    turns = [
        {name: seconds_of_login(hub, name, f"wrong-{turn}") for name in names} for turn in range(3)
    ]
    quickest = {name: min(turn[name] for turn in turns) for name in names}
    for name, taken_s in quickest.items():
        assert quickest["ada"] / 3 < taken_s < 3 * quickest["ada"], quickest
        assert taken_s > 0.05, name


def test_the_old_password_is_asked_for_and_other_sessions_end(hub):
    here, elsewhere = Browser(hub), Browser(hub, address="192.0.2.7")
    for browser in (here, elsewhere):
        browser.login("bea", PASSWORD)
    page = "/auth/change-password"
    for fields in ({}, {"old_password": "wrong"}):
        refused = here.post(page, password="another-horse-8", **fields)
        assert "not right" in refused.text
    assert elsewhere.name == "bea"
    changed = here.post(page, old_password=PASSWORD, password="another-horse-8")
    assert "successfully" in changed.text
    assert (here.name, elsewhere.name) == ("bea", None)
    assert Browser(hub).login("bea", "another-horse-8").status_code == 302


def test_guessing_the_old_password_is_throttled(hub):
    ada = Browser(hub, address="192.0.2.44")
    ada.login("ada", PASSWORD)
    answers = [
        ada.post("/auth/change-password", old_password=f"wrong-{n}", password="x" * 12).status_code
        for n in range(7)
    ]
    assert answers[-1] == 429


def test_of_simultaneous_uses_of_a_claim_one_wins(hub):
    claim = make_claim("root")
    path = claim_file(hub.paths.claims_dir, "root")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(claim.as_bytes())
    browsers = [Browser(hub, address=f"192.0.2.{n}") for n in range(20, 24)]
    link = f"/claim?name=root&token={claim.token}"

    def use(number: int) -> int:
        browser = browsers[number]
        token = browser.get(link).text.partition('name="_xsrf" value="')[2].partition('"')[0]
        secret = f"password-of-{number}"
        return browser.session.post(
            f"{hub.url}/claim",
            data={
                "_xsrf": token,
                "name": "root",
                "token": claim.token,
                "password": secret,
                "again": secret,
            },
            allow_redirects=False,
            timeout=60,
        ).status_code

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(use, range(4)))
    assert sorted(answers) == [302, 403, 403, 403]
    winner = answers.index(302)
    login = Browser(hub, address="192.0.2.30").login("root", f"password-of-{winner}")
    assert login.status_code == 302


def test_no_page_of_a_claim_sends_its_address_on(hub):
    answer = Browser(hub).get("/claim?name=root&token=made-up")
    assert answer.status_code == 403
    assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "/claim?name=root&token=s3cret-in-log",
        "/claim?name=root&%74oken=s3cret-in-log",
        "/login?next=%2Fhub%2Fclaim%3Ftoken%3Ds3cret-in-log",
        "/nosuch?x=s3cret-in-log",
        "/api/nosuch?token=s3cret-in-log",
        "/user/ada/lab?t=s3cret-in-log",
        "/login?next=//evil.test/?s3cret-in-log",
    ],
)
def test_no_query_reaches_the_log(hub, ada, path):
    for browser in (Browser(hub), ada):
        browser.get(path, headers={"Referer": f"{hub.url}{path}"})
    assert "s3cret-in-log" not in hub.log


def test_nobody_forges_lines_of_the_log(hub, ada):
    forged = f"x\n[I 2026-01-01 00:00:00.000 Hub base:1] User logged in: root{ESCAPE}\r\u2028\x85"
    ada.get("/home")
    token = ada.session.cookies.get("_xsrf", path="/hub/")
    ada.session.post(
        f"{hub.url}/security/csp-report?_xsrf={token}", data=forged.encode(), timeout=30
    )
    ada.login(forged, "x")
    ada.session.get(f"{hub.url}/login", headers={"X-Forwarded-For": f"192.0.2.1{ESCAPE}"})
    assert "Content security violation" in hub.log
    lines = hub.log.splitlines()
    assert not any(line.lstrip().startswith("[I 2026-01-01 00:00:00") for line in lines)
    assert "\x1b" not in hub.log
    assert "\x85" not in hub.log


def test_the_text_of_an_error_in_a_traceback_has_no_escape_sequences():
    try:
        raise ValueError(f"x{ESCAPE}\r\x9b")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "x", 1, "failed", (), sys.exc_info())
    SafeLines().filter(record)
    assert "ValueError: x" in record.exc_text
    assert not {"\x1b", "\r", "\x9b"} & set(record.exc_text)
