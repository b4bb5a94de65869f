"""Authenticators that need no other server, and LTI 1.3 with the test as the platform."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.hub.process.running import Browser, free_port, running_hub


def test_tmp_gives_every_visitor_a_new_name(tmp_path):
    with running_hub(tmp_path, "auth: {type: tmp}\n") as hub:
        names = set()
        for _ in range(2):
            browser = Browser(hub)
            assert browser.get("/tmplogin", allow_redirects=False).status_code == 302
            names.add(browser.name)
    assert None not in names
    assert len(names) == 2


def test_dummy_admits_anyone_until_users_are_listed(tmp_path):
    with running_hub(tmp_path, "auth: {type: dummy}\nusers: {admin: [boss]}\n") as hub:
        assert Browser(hub).login("anyone", "anything").status_code == 302
        hub.restart("auth: {type: dummy}\nusers: {allowed: [alice], admin: [boss]}\n")
        assert Browser(hub).login("anyone", "anything").status_code == 403
        assert Browser(hub).login("boss", "anything").status_code == 302


def test_null_has_no_login_but_an_api(tmp_path):
    with running_hub(tmp_path, "auth: {type: 'null'}\n") as hub:
        assert Browser(hub).get("/login", allow_redirects=False).status_code != 200
        assert hub.api("GET", "users").status_code == 200


class Platform:
    """A learning platform with a key, which signs who launches."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        self.keys = json.dumps({"keys": [{**public, "kid": "1", "use": "sig", "alg": "RS256"}]})
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def id_token(self, nonce: str, target: str, key=None) -> str:
        claims = "https://purl.imsglobal.org/spec/lti/claim/"
        issued_s = int(time.time())
        return jwt.encode(
            {
                "iss": self.url,
                "aud": "the-hub",
                "sub": "17",
                "iat": issued_s,
                "exp": issued_s + 60,
                "nonce": nonce,
                "email": "pupil@example.org",
                claims + "message_type": "LtiResourceLinkRequest",
                claims + "version": "1.3.0",
                claims + "deployment_id": "1",
                claims + "target_link_uri": target,
                claims + "resource_link": {"id": "1"},
                claims + "roles": ["http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"],
            },
            key or self.key,
            algorithm="RS256",
            headers={"kid": "1"},
        )


@pytest.fixture
def platform():
    here = Platform()

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(here.keys.encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", here.port), Keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield here
    server.shutdown()
    server.server_close()


def test_a_launch_from_a_learning_platform_logs_in(tmp_path, platform):
    pytest.importorskip("ltiauthenticator")
    text = (
        "auth:\n  type: lti13\n  allow_all: true\n  LTI13Authenticator:\n"
        f"    issuer: {platform.url}\n    authorize_url: {platform.url}/auth\n"
        f"    jwks_endpoint: {platform.url}/keys\n    client_id: [the-hub]\n"
        "    uri_scheme: https\n"
    )
    with running_hub(tmp_path, text) as hub:
        target = hub.url.removesuffix("/hub")
        launch = {"iss": platform.url, "login_hint": "17", "target_link_uri": target}

        def come_back(key=None) -> Browser:
            browser = Browser(hub, is_https=True)
            away = browser.session.post(
                f"{hub.url}/lti13/oauth_login",
                data={**launch, "client_id": "the-hub"},
                allow_redirects=False,
            )
            assert away.status_code == 302, away.text
            asked = parse_qs(urlparse(away.headers["Location"]).query)
            assert asked["redirect_uri"][0].startswith("https://")
            assert asked["redirect_uri"][0].endswith("/hub/lti13/oauth_callback")
            # Over http the client does not send back cookies that are for https alone.
            cookies = {cookie.name: cookie.value for cookie in browser.session.cookies}
            browser.answer = browser.session.post(
                f"{hub.url}/lti13/oauth_callback",
                data={
                    "state": asked["state"][0],
                    "id_token": platform.id_token(asked["nonce"][0], target, key),
                },
                cookies=cookies,
                allow_redirects=False,
            )
            return browser

        fine = come_back()
        assert fine.answer.status_code == 302, fine.answer.text
        assert any(c.name == "jupyterhub-hub-login" for c in fine.session.cookies)
        assert hub.api("GET", "users/pupil@example.org").status_code == 200
        stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        assert come_back(stranger).answer.status_code in (400, 401, 403)
