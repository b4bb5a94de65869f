"""No secret stays in a text that leaves the machine, whatever form it has."""

from __future__ import annotations

import base64
import json
import secrets as random

import pytest

from tljh.base.text_redaction import Redactor

HEX = random.token_hex(32)
URL_SAFE = "q7" + random.token_urlsafe(32) + "Zz9"
JWT = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
    for part in ({"alg": "HS256"}, {"sub": "ann", "n": 12345}, {"x": HEX})
)
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA0abc\ndef+/==\n-----END RSA PRIVATE KEY-----"
)

# (text, the secret in it)
PLANTED = [
    ("client_secret: hunter2hunter2", "hunter2hunter2"),
    ("client_secret: 'two words'", "two words"),
    ('"password": "abc def",', "abc def"),
    ('c.GitHubOAuthenticator.client_secret = "s3cr3t!"', "s3cr3t!"),
    ("os.environ['API_TOKEN'] = 'letmein'", "letmein"),
    ("password=correcthorse", "correcthorse"),
    ("# the password is swordfish", "swordfish"),
    ("the old passphrase was opensesame", "opensesame"),
    ("Environment=OAUTH_CLIENT_SECRET=abcdef", "abcdef"),
    ('Environment="LDAP_BIND_PASSWORD=ab cd"', "ab cd"),
    ("postgresql://hub:pa55@db/hub", "pa55"),
    ("https://x-access-token:abc123@github.com/a/b", "abc123"),
    ("pip install git+https://mytoken99@github.com/a/b", "mytoken99"),
    ("--token abc123xyz", "abc123xyz"),
    ("mysql -u root --password=rootpw", "rootpw"),
    ("curl -H 'Authorization: Basic dXNlcjpwYXNz'", "dXNlcjpwYXNz"),
    ("Authorization: Bearer short-one", "short-one"),
    ("authorization: token abcdefgh", "abcdefgh"),
    ("Cookie: jupyterhub-session-id=abc; _xsrf=def", "abc; _xsrf=def"),
    ("Set-Cookie: a=b1234; Path=/", "b1234"),
    ("X-Api-Key: 12ab34cd", "12ab34cd"),
    ("GET /hub/login?token=abcd1234&next=x", "abcd1234"),
    (f"GET /hub/claim/{HEX} 200", HEX),
    (f"JUPYTERHUB_API_TOKEN={HEX}", HEX),
    (f"session {URL_SAFE} began", URL_SAFE),
    (f"id_token {JWT}", JWT.split(".")[1]),
    (PEM, "MIIEpAIBAAKCAQEA0abc"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\ncut here", "b3BlbnNzaC1rZXktdjEA"),
    ("ann:$6$salt$Abc/def.ghi:19000:0", "Abc/def.ghi"),
    ("$2b$12$abcdefghijklmnopqrstuv", "abcdefghijklmnopqrstuv"),
    ("ghp_abcdefghij0123456789", "abcdefghij0123456789"),
    ("glpat-abcdefghij012345", "abcdefghij012345"),
    ("AKIAABCDEFGHIJKLMNOP", "AKIAABCDEFGHIJKLMNOP"),
    ("xoxb-123456789012-abcdef", "123456789012-abcdef"),
    ("machine nas login hub password moonbeam", "moonbeam"),
    ("hmac_key = abcd_efgh", "abcd_efgh"),
    ("dns_cloudflare_api_token = zzz111", "zzz111"),
    ("AWS_SECRET_ACCESS_KEY: a+b/c", "a+b/c"),
    ("smtp: {user: a, password: mailpw}", "mailpw"),
    ("wrong pin: 987654", "987654"),
    ("bind_dn_password -> plain", "plain"),
    ("'crypt_keys': ['k1abcdefgh']", "k1abcdefgh"),
]


@pytest.mark.parametrize(("text", "secret"), PLANTED, ids=range(len(PLANTED)))
def test_a_secret_of_any_form_is_masked(text, secret):
    assert secret not in Redactor().redact(f"before {text}\nafter")


def test_a_known_secret_is_masked_wherever_it_is():
    redactor = Redactor.of(["blue sky", "ab", f"line one\n{HEX}"])
    assert redactor.redact("it said blue sky and line one, ab") == (
        "it said [removed] and [removed], ab"
    )


@pytest.mark.parametrize(
    "text",
    [
        "error: http.port must be between 1 and 65535, not 99999",
        "Nov 27 19:26:56 hub jupyterhub[123]: [I 2026-11-27 JupyterHub app:3322] Running",
        "/opt/tljh/versions/hub-0123456789ab/lib/python3.11/site-packages/jupyterhub/app.py",
        "limits: {memory: 2G, cpu: 1.5}",
        "GET /hub/api/users?state=active (ann@10.0.0.7) 12.34ms",
        "tokens: required; the password is missing",
        "jupyterlab-4.4.10-pyhd8ed1ab_0.conda",
        "PasswordTooShort was raised",
    ],
)
def test_what_a_reader_needs_stays(text):
    assert Redactor().redact(text) == text
