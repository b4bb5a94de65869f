"""The command line of certbot, and the findings from its output."""

from __future__ import annotations

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from tests.certificates.acme_authority import CERTBOT, DIRECTORY, CertbotHost
from tests.operations.test_converge import PATHS
from tljh.base.errors import TljhError
from tljh.certificates.acme_preflight import check_files
from tljh.certificates.acme_request import AcmeRequest
from tljh.certificates.certbot import (
    _ERROR_TYPE,
    Certbot,
    ChallengeAddress,
    explain_refusals,
    read_eab,
)
from tljh.certificates.dns_providers import NEEDED_LINES, PROVIDERS
from tljh.host.interface import Result

REQUEST = AcmeRequest(("hub.example.org", "www.example.org"), DIRECTORY, "ada@example.org")
BEHIND = ChallengeAddress("127.0.0.1", 402)
REAL = Path(sys.executable).with_name("certbot")

# Recorded from certbot 5.8.
FAILED_CHALLENGE = """\
Requesting a certificate for hub.example.org and 2 more domains

Certbot failed to authenticate some domains (authenticator: standalone). The Certificate \
Authority reported these problems:
  Identifier: bad.example.org
  Type:   connection
  Detail: Get "http://bad.example.org:80/.well-known/acme-challenge/9kH": dial tcp \
192.0.2.1:80: connect: connection refused

  Identifier: worse.example.org
  Type:   unauthorized
  Detail: The key authorization file from the server did not match this challenge

Hint: The Certificate Authority failed to download the challenge files from the temporary \
standalone webserver started by Certbot on port 402. Ensure that the listed domains point to \
this machine and that it can accept inbound connections from the internet.

"""
RATE_LIMITED = """\
Saving debug log to /opt/tljh/state/acme/certbot/logs/letsencrypt.log
Requesting a certificate for hub.example.org
An unexpected error occurred:
too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, \
retry after 2026-11-22 10:15:29 UTC
Ask for help or search for solutions at https://community.letsencrypt.org.
"""


@pytest.fixture
def host():
    machine = CertbotHost()
    for path in (PATHS.prefix, PATHS.state_dir):
        machine.mkdir(path, mode=0o700)
    return machine


@pytest.fixture
def certbot():
    return Certbot(Path(CERTBOT), PATHS)


def test_what_comes_back_belongs_to_the_key_that_was_made(host, certbot):
    from tljh.base.clock import get_utc_time
    from tljh.certificates.audit import judge

    pair = certbot.obtain(host, REQUEST, BEHIND, 60)
    assert judge(pair.chain, pair.key, REQUEST.names, get_utc_time()) == []


def test_nothing_is_left_in_the_scratch_directory_whatever_happens(host, certbot):
    certbot.obtain(host, REQUEST, BEHIND, 60)
    host.refusal = Result(1, RATE_LIMITED)
    with pytest.raises(TljhError):
        certbot.obtain(host, REQUEST, BEHIND, 60)
    assert host.info(PATHS.acme_dir / "scratch") is None


def test_challenges_are_answered_where_only_root_can_listen(host, certbot):
    certbot.obtain(host, REQUEST, BEHIND, 60)
    asked = host.asked[0]
    assert asked.option("--http-01-address") == "127.0.0.1"
    assert int(asked.option("--http-01-port")) < 1024


@pytest.mark.parametrize(("kind", "size"), [("ecdsa", 256), ("rsa", 2048)])
def test_the_key_is_of_the_kind_that_is_set(host, certbot, kind, size):
    request = AcmeRequest(("hub.example.org",), DIRECTORY, key_type=kind)
    pair = certbot.obtain(host, request, BEHIND, 60)
    leaf = x509.load_pem_x509_certificates(pair.chain)[0]
    assert leaf.public_key().key_size == size


def test_an_account_key_is_given_in_a_file_and_never_on_the_command_line(host, certbot):
    host.files[Path("/eab")] = host.files[Path("/")]
    host.write(Path("/eab"), b"kid: kid-1\nhmac_key: c2VjcmV0\n", mode=0o600)
    request = AcmeRequest(("hub.example.org",), DIRECTORY, eab="/eab")
    certbot.obtain(host, request, BEHIND, 60)
    asked = host.asked[0]
    assert "c2VjcmV0" not in " ".join(asked.argv)
    assert asked.files[asked.option("--config")] == b"eab-kid = kid-1\neab-hmac-key = c2VjcmV0\n"


def test_own_authorities_are_trusted_beside_the_systems(host, certbot):
    for path in ("/etc/ssl", "/etc/ssl/certs"):
        host.mkdir(Path(path), mode=0o755)
    host.write(Path("/etc/ssl/certs/ca-certificates.crt"), b"SYSTEM\n", mode=0o644)
    host.write(Path("/own.pem"), b"OWN\n", mode=0o644)
    seen = []
    run = host.run

    def looking(argv, **options):
        seen.append(host.read(Path(options["env"]["REQUESTS_CA_BUNDLE"])))
        return run(argv, **options)

    host.run = looking
    certbot.obtain(
        host, AcmeRequest(("a.example.org",), DIRECTORY, ca_bundle="/own.pem"), BEHIND, 60
    )
    assert seen == [b"SYSTEM\nOWN\n"]


def test_an_account_that_the_authority_forgot_is_made_anew(host, certbot):
    forgotten = Result(1, "An unexpected error occurred:\nAccount https://ca/7 not found.\n")
    answers = [forgotten, None]
    run = host.run

    def once(argv, **options):
        host.refusal = answers.pop(0)
        return run(argv, **options)

    host.run = once
    assert certbot.obtain(host, REQUEST, BEHIND, 60).chain
    assert len(host.asked) == 2


OURS = AcmeRequest(("account.example.org",), DIRECTORY)
FORGOTTEN = b"acme.messages.Error: urn:ietf:params:acme:error:accountDoesNotExist :: unknown\n"


def accounts(host) -> list[str]:
    """Write accounts of two authorities, as certbot keeps them."""
    directory = PATHS.certbot_dir / "config/accounts"
    if host.info(directory) is None:
        for path in (*reversed(directory.parents[:4]), directory):
            host.mkdir(path, mode=0o700)
        for name in ("ca.example.org", "other.example.net"):
            host.mkdir(directory / name, mode=0o700)
    return host.listdir(directory)


@pytest.mark.parametrize(
    ("said", "log"),
    [
        ("Account https://ca/7 not found.", b""),
        ('Account is not valid, has status "deactivated"', b""),
        ("no idea who you are", FORGOTTEN),
    ],
)
def test_only_an_account_that_the_ca_lost_is_registered_again(host, certbot, said, log):
    accounts(host)
    host.mkdir(PATHS.certbot_dir / "logs", mode=0o700)
    run = host.run

    def once(argv, **options):
        host.refusal = None
        if not host.asked:
            host.refusal = Result(1, "", f"An unexpected error occurred:\n{said}\n")
            host.write(PATHS.certbot_dir / "logs/letsencrypt.log", log, mode=0o600)
        return run(argv, **options)

    host.run = once
    assert certbot.obtain(host, OURS, BEHIND, 60).chain
    assert accounts(host) == ["other.example.net"]


@pytest.mark.parametrize(
    "said",
    [
        "DNS problem: NXDOMAIN looking up A for account.example.org: it does not exist",
        "Detail: account.example.org: the zone does not exist",
        'did not match this challenge. Expected "a" (got "Account not found")',
        "the supplied Cloudflare account. The error was: hub.example.org is not valid",
    ],
)
def test_account_in_the_name_or_the_words_of_others_costs_no_account(host, certbot, said):
    before = accounts(host)
    host.mkdir(PATHS.certbot_dir / "logs", mode=0o700)
    # Of an earlier run: this one wrote nothing.
    host.write(PATHS.certbot_dir / "logs/letsencrypt.log", FORGOTTEN, mode=0o600)
    host.refusal = Result(1, "", f"An unexpected error occurred:\n{said}\n")
    with pytest.raises(TljhError):
        certbot.obtain(host, OURS, BEHIND, 60)
    assert accounts(host) == before and len(host.asked) == 1


class Refusing(BaseHTTPRequestHandler):
    """A CA that knows no account."""

    def do_GET(self) -> None:
        here = f"http://{self.headers['Host']}"
        names = ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")
        self._answer(200, {name: f"{here}/{name}" for name in names})

    def do_HEAD(self) -> None:
        self._answer(200, {})

    def do_POST(self) -> None:
        kind = "urn:ietf:params:acme:error:accountDoesNotExist"
        self._answer(400, {"type": kind, "detail": "no idea who you are"})

    def _answer(self, status: int, content: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/problem+json" if status > 200 else "")
        self.send_header("Replay-Nonce", "bm9uY2U")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.skipif(not REAL.exists(), reason="certbot is missing")
def test_kind_of_error_is_found_in_the_log_of_the_real_certbot(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    argv = [str(REAL), "register", "--agree-tos", "-n", "--register-unsafely-without-email"]
    argv += ["--server", f"http://127.0.0.1:{server.server_port}/directory"]
    for name in ("config", "work", "logs"):
        argv += [f"--{name}-dir", str(tmp_path / name)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    server.shutdown()
    assert done.returncode == 1 and "accountDoesNotExist" not in done.stderr
    log = (tmp_path / "logs/letsencrypt.log").read_text()
    assert set(_ERROR_TYPE.findall(log)) == {"accountDoesNotExist"}


def test_ssl_in_a_name_is_no_authority_that_is_not_trusted():
    failed = FAILED_CHALLENGE.replace("bad.example.org", "ssl.example.org")
    fixes = [finding.fix or "" for finding in explain_refusals(Result(1, "", failed), REQUEST)]
    assert not any("ca_bundle" in fix for fix in fixes)
    untrusted = "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] x'))"
    (finding,) = explain_refusals(Result(1, "", untrusted), REQUEST)
    assert "ca_bundle" in (finding.fix or "")


def test_a_nonce_that_is_rejected_again_and_again_is_no_refusal_yet(host, certbot):
    rejected = Result(
        1, "An unexpected error occurred:\nJWS has an invalid anti-replay nonce: 3iW\n"
    )
    answers = [rejected, rejected, None]
    run = host.run

    def moody(argv, **options):
        host.refusal = answers.pop(0)
        return run(argv, **options)

    host.run = moody
    assert certbot.obtain(host, REQUEST, BEHIND, 60).chain
    answers += [rejected] * 20
    with pytest.raises(TljhError, match="gave no certificate"):
        certbot.obtain(host, REQUEST, BEHIND, 60)


def test_every_name_that_failed_is_told_with_its_challenge_and_the_authoritys_words():
    findings = explain_refusals(Result(1, "", FAILED_CHALLENGE), REQUEST)
    assert [finding.what.split(": ")[0].split()[-1] for finding in findings] == [
        "bad.example.org",
        "worse.example.org",
    ]
    assert "http-01" in findings[0].what
    assert "192.0.2.1:80: connect: connection refused" in (findings[0].why or "")
    assert "port 80 of bad.example.org" in (findings[0].fix or "")


def test_a_rate_limit_says_how_long_to_wait():
    (finding,) = explain_refusals(Result(1, RATE_LIMITED), REQUEST)
    assert "2026-11-22" in (finding.why or "") and "wait" in (finding.fix or "")
    assert "community" not in (finding.why or "")


@given(st.text())
def test_whatever_certbot_says_there_is_a_finding_with_a_reason(text):
    findings = explain_refusals(Result(1, text), REQUEST)
    assert findings and all(finding.what and finding.why for finding in findings)


@pytest.mark.parametrize(
    "text", ["kid = a\nhmac_key = b", "kid: a\nhmac-key: b", "eab_kid=a\neab-hmac-key='b'\n"]
)
def test_an_external_account_is_read_as_authorities_write_it(text):
    assert read_eab(text.encode(), "/eab") == ("a", "b")


@given(st.binary())
def test_what_is_no_external_account_is_refused_or_fits_on_one_line(data):
    try:
        parts = read_eab(data, "/eab")
    except TljhError:
        return
    assert all(part and not set(part) & set("\n\r ") for part in parts)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_dns_provider_is_given_its_credentials_by_a_file(host, certbot, provider):
    lines = "\n".join(f"{line.split('|')[0]} = s3cret" for line in NEEDED_LINES[provider])
    host.write(Path("/dns.ini"), lines.encode(), mode=0o600)
    request = AcmeRequest(
        ("*.example.org",), DIRECTORY, dns_provider=provider, dns_credentials="/dns.ini"
    )
    assert check_files(host, request) == []
    certbot.obtain(host, request, BEHIND, 60)
    asked = host.asked[0]
    assert asked.option("--authenticator") == f"dns-{provider}"
    assert "s3cret" not in " ".join(asked.argv)
    if provider == "route53":
        assert asked.env["AWS_SHARED_CREDENTIALS_FILE"] == "/dns.ini"
    else:
        assert asked.option(f"--dns-{provider}-credentials") == "/dns.ini"
    assert "--standalone" not in asked.argv


def test_credentials_that_others_can_read_or_that_lack_a_line_are_refused(host):
    request = AcmeRequest(
        ("hub.example.org",), DIRECTORY, dns_provider="linode", dns_credentials="/dns.ini"
    )
    assert "not there" in check_files(host, request)[0].what
    host.write(Path("/dns.ini"), b"dns_linode_key = x", mode=0o644)
    assert "others than root" in check_files(host, request)[0].what
    host.write(Path("/others.ini"), b"dns_linode_key = x", mode=0o644)
    host.symlink(Path("/dns.ini"), "others.ini")
    assert "others than root" in check_files(host, request)[0].what
    host.write(Path("/others.ini"), b"dns_linode_key = x", mode=0o600)
    assert check_files(host, request) == []
    host.write(Path("/dns.ini"), b"other = x", mode=0o600)
    assert "lacks dns_linode_key" in check_files(host, request)[0].what


def test_a_proxy_that_the_installation_needed_is_certbots_too(host, certbot):
    kept = b'{"HTTPS_PROXY": "http://proxy:3128", "PIP_INDEX_URL": "https://x"}'
    host.write(PATHS.state_dir / "environment.json", kept, mode=0o600)
    certbot.obtain(host, REQUEST, BEHIND, 60)
    assert host.asked[0].env["HTTPS_PROXY"] == "http://proxy:3128"
    assert "PIP_INDEX_URL" not in host.asked[0].env
