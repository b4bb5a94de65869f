"""certbot as a client of the ACME protocol: it gets a signing request and returns a certificate.

The key is made here. So certbot has no lineages (its own stored certificates), which could be half
renewed. Its accounts are in state/acme/certbot. Secrets are passed in files, not on the command
line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.certificates.acme_request import AcmeRequest
from tljh.certificates.acme_store import make_directories
from tljh.certificates.x509 import TlsPair
from tljh.host.interface import DIES_WITH_US, Host, HostReader, Result
from tljh.settings.package_variables import read_package_variables

SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


_PROBLEM = re.compile(
    r"(?:Domain|Identifier):\s*(?P<domain>\S+)\s*\n\s*Type:\s*(?P<type>\S+)\s*\n"
    r"\s*Detail:\s*(?P<detail>.+(?:\n(?!\s*(?:Domain|Identifier|Hint):)\s*\S.*)*)",
)


# How certbot's log ends if the CA refused. certbot prints only the message, not the type.
_ERROR_TYPE = re.compile(r"^acme\.messages\.Error: urn:ietf:params:acme:error:(\w+)", re.M)


# For a deactivated account, Let's Encrypt reports "unauthorized", as for a failed challenge. So the
# message decides.
_ACCOUNT_GONE = re.compile(
    r"^An unexpected error occurred:\n(?:.* :: )?Account (?:\S+ not found|is not valid)\b", re.M
)


# certbot retries once by itself, which is too few: with 15 % of all nonces rejected, some 60 of 500
# runs failed.
_BAD_NONCE = re.compile(r"badNonce|anti-replay nonce", re.I)


MOST_RUNS = 4


_UNTRUSTED = re.compile(r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|SSLError\(")


_NOISE = (
    "Saving debug log",
    "Ask for help",
    "See the logfile",
    "Requesting a certificate",
    "Account registered",
    "Some challenges have failed",
    "An unexpected error occurred",
    "Certificates created using --csr",
    "- - -",
    "Processing",
    "The Certificate Authority failed",
    "Hint:",
)


@dataclass(frozen=True)
class ChallengeAddress:
    """The address at which certbot answers HTTP challenges; empty for all interfaces."""

    address: str
    port: int


@dataclass(frozen=True)
class CertbotResult(Result):
    """The result of a run, with the type of the CA's error, if there was one."""

    error_type: str | None = None


@dataclass(frozen=True)
class Certbot:
    """The certbot of a hub environment, with this machine's accounts."""

    binary: Path
    paths: Paths

    def obtain(
        self, host: Host, request: AcmeRequest, listen: ChallengeAddress, timeout_s: float
    ) -> TlsPair:
        """Request a certificate. Raises TljhError with the CA's message."""
        scratch = self._scratch(host)
        try:
            key = make_key(request.key_type)
            csr = scratch / "request.pem"
            host.write(csr, make_signing_request(key, request.names), mode=0o600)
            chain = scratch / "chain.pem"
            argv = [
                *self._base("certonly", request, scratch, host),
                *("--csr", str(csr), "--fullchain-path", str(chain)),
                *("--cert-path", str(scratch / "leaf.pem")),
                *("--chain-path", str(scratch / "above.pem")),
                *self._challenge(request, listen),
            ]
            failure = f"{request.authority} gave no certificate"
            done = self._run_patiently(host, argv, request, scratch, timeout_s, failure)
            obtained = host.read(chain)
            if not done.ok or obtained is None:
                raise TljhError(explain_refusals(done, request))
            return TlsPair(chain=obtained, key=key)
        finally:
            host.remove(scratch)

    def revoke(
        self,
        host: Host,
        request: AcmeRequest,
        certificate: TlsPair,
        reason: str,
        timeout_s: float,
    ) -> None:
        """Make the CA revoke a certificate. Raises TljhError with the CA's message.

        The certificate's private key proves the right to revoke it.
        """
        scratch = self._scratch(host)
        try:
            host.write(scratch / "leaf.pem", certificate.chain, mode=0o600)
            host.write(scratch / "key.pem", certificate.key, mode=0o600)
            argv = [
                *self._base("revoke", request, scratch, host),
                *("--cert-path", str(scratch / "leaf.pem"), "--key-path", str(scratch / "key.pem")),
                *("--reason", reason, "--no-delete-after-revoke"),
            ]
            failure = f"{request.authority} did not revoke the certificate"
            done = self._run_patiently(host, argv, request, scratch, timeout_s, failure)
            # An earlier run may have been killed after the CA revoked the certificate. So this
            # error is a success.
            if not done.ok and done.error_type != "alreadyRevoked":
                fix = "correct the cause above, then: sudo tljh cert revoke"
                raise TljhError(failure, why=find_error_text(done), fix=fix)
        finally:
            host.remove(scratch)

    def _scratch(self, host: Host) -> Path:
        """Make an empty directory for one run; the caller removes it."""
        make_directories(host, self.paths)
        scratch = self.paths.acme_scratch
        # A run that was killed left its own.
        host.remove(scratch)
        host.mkdir(scratch, mode=0o700)
        return scratch

    def _base(self, verb: str, request: AcmeRequest, scratch: Path, host: Host) -> list[str]:
        own = self._own
        options = scratch / "options.ini"
        host.write(options, _format_secret_options(host, request), mode=0o600)
        email = ["--email", request.email]
        return [
            *(str(self.binary), verb, "--config", str(options), "--non-interactive"),
            *("--server", request.server, "--agree-tos", "--no-eff-email"),
            *(email if request.email else ["--register-unsafely-without-email"]),
            *("--config-dir", str(own / "config"), "--work-dir", str(own / "work")),
            *("--logs-dir", str(own / "logs"), "--max-log-backups", "20"),
        ]

    def _challenge(self, request: AcmeRequest, listen: ChallengeAddress) -> list[str]:
        profile = ["--required-profile", request.profile] if request.profile else []
        if request.dns_provider is None:
            address = ["--http-01-address", listen.address] if listen.address else []
            return [
                *("--standalone", "--preferred-challenges", "http"),
                *("--http-01-port", str(listen.port), *address, *profile),
            ]
        from tljh.certificates.dns_providers import build_plugin_options

        return [*build_plugin_options(request), *profile]

    def _run_patiently(
        self,
        host: Host,
        argv: list[str],
        request: AcmeRequest,
        scratch: Path,
        timeout_s: float,
        failure: str,
    ) -> CertbotResult:
        """Run certbot; retry after temporary errors, not after refusals, within `timeout_s`.

        Raises TljhError after that time, with `failure` as its message.
        """
        end_s = host.monotonic_s() + timeout_s
        for _ in range(MOST_RUNS):
            left_s = max(1.0, end_s - host.monotonic_s())
            try:
                done = self._run(host, argv, request, scratch, left_s)
            except TljhError as error:
                raise TljhError(
                    f"{failure} within {timeout_s:g} s",
                    why=f"certbot was waiting for {request.server}",
                    fix="try again later: the CA may have an outage",
                ) from error
            output = f"{done.out}\n{done.err}"
            is_gone = done.error_type == "accountDoesNotExist" or _ACCOUNT_GONE.search(output)
            if done.ok or not (is_gone or _BAD_NONCE.search(output)):
                break
            if is_gone:
                # A CA can lose accounts (Let's Encrypt's staging CA, a private one that is set up
                # again). certbot registers a new one if the old one is not stored.
                host.remove(self._own / "config" / "accounts" / urlsplit(request.server).netloc)
        return done

    @property
    def _own(self) -> Path:
        """Return certbot's own directory, with accounts and logs."""
        return self.paths.certbot_dir

    def _log(self, host: HostReader) -> str:
        """Read the log of certbot's last run; each run starts a new file."""
        return (host.read(self._own / "logs" / "letsencrypt.log") or b"").decode(errors="replace")

    def _run(
        self, host: Host, argv: list[str], request: AcmeRequest, scratch: Path, timeout_s: float
    ) -> CertbotResult:
        from tljh.certificates.dns_providers import build_plugin_environment

        env = {
            "PYTHONUNBUFFERED": "1",
            **read_kept_proxies(host, self.paths),
            **build_plugin_environment(request),
        }
        trusted = _build_trust_store(host, request)
        if trusted:
            host.write(scratch / "trusted.pem", trusted, mode=0o600)
            env["REQUESTS_CA_BUNDLE"] = str(scratch / "trusted.pem")
        old_log = self._log(host)
        # If this process is killed, certbot ends too. It would block the next run otherwise.
        done = host.run([*DIES_WITH_US, *argv], timeout_s=timeout_s, env=env)
        log = self._log(host)
        types = _ERROR_TYPE.findall(log) if log != old_log and not done.ok else []
        return CertbotResult(done.code, done.out, done.err, error_type=types[-1] if types else None)


def _build_trust_store(host: HostReader, request: AcmeRequest) -> bytes:
    """Return the CAs to trust: the system's, which DNS providers need, and the configured one."""
    own = host.read(Path(request.ca_bundle)) if request.ca_bundle else None
    return (host.read(SYSTEM_BUNDLE) or b"").rstrip() + b"\n" + (own or b"")


def read_kept_proxies(host: HostReader, paths: Paths) -> dict[str, str]:
    """Return the HTTP proxies of the installation and of config.yaml, as environment variables.

    They are stored because sudo and timers do not pass them on.
    """
    kept = read_package_variables(host, paths)
    return {name: value for name, value in kept.items() if name.lower().endswith("_proxy")}


def _format_secret_options(host: Host, request: AcmeRequest) -> bytes:
    """Return a configuration file for certbot with the secret options.

    On a command line every user could read them.
    """
    if request.eab is None:
        return b""
    kid, hmac_key = read_eab(host.read(Path(request.eab)) or b"", request.eab)
    return f"eab-kid = {kid}\neab-hmac-key = {hmac_key}\n".encode()


def read_eab(data: bytes, path: str) -> tuple[str, str]:
    """Return key id and HMAC key of the CA's external account binding (EAB).

    `data` has the lines `kid = …` and `hmac_key = …`; `path` is for messages.
    """
    values = {}
    for line in data.decode(errors="replace").splitlines():
        name, _, value = re.sub(r"\s*[=:]\s*", "=", line.strip(), count=1).partition("=")
        values[name.lower().replace("-", "_").removeprefix("eab_")] = value.strip("\"' ")
    kid, hmac_key = values.get("kid", ""), values.get("hmac_key", "")
    if not re.fullmatch(r"[\x21-\x7e]+", kid) or not re.fullmatch(r"[A-Za-z0-9_=+/-]+", hmac_key):
        raise TljhError(
            f"https.letsencrypt.eab names a file without an external account: {path}",
            why="it needs two lines, kid = … and hmac_key = …, with the values from the CA",
            fix=f"sudo install -m 600 /dev/stdin {quote(str(path))}",
        )
    return kid, hmac_key


def explain_refusals(done: Result, request: AcmeRequest) -> list[Finding]:
    """Return a finding for each host name that the CA refused.

    If certbot's output names none, it is one finding with certbot's last lines.
    """
    text = f"{done.out}\n{done.err}"
    findings = [_explain_refusal(match, request) for match in _PROBLEM.finditer(text)]
    if findings:
        return list(dict.fromkeys(findings))
    why = find_error_text(done)
    return [
        Finding(
            f"{request.authority} gave no certificate for {', '.join(request.names)}",
            why=why,
            fix=_suggest_fix(why, request),
        )
    ]


def find_error_text(done: Result) -> str:
    """Return the end of certbot's output, without the lines that every run prints."""
    lines = [
        line.strip()
        for line in f"{done.out}\n{done.err}".splitlines()
        if line.strip() and not line.strip().startswith(_NOISE)
    ]
    return "\n".join(dict.fromkeys(lines[-6:])) or f"certbot ended with code {done.code}"


def _explain_refusal(match: re.Match[str], request: AcmeRequest) -> Finding:
    detail = re.sub(r"\s+", " ", match["detail"]).strip()
    return Finding(
        f"{request.authority} gave no certificate for {match['domain']}: "
        f"its {request.challenge} challenge failed",
        why=f"{match['type']}: {detail}",
        fix=_suggest_fix(f"{match['type']} {detail}", request, match["domain"]),
    )


def _suggest_fix(message: str, request: AcmeRequest, domain: str = "the name") -> str:
    low = message.lower()
    if "ratelimited" in low.replace(" ", "") or "too many" in low:
        return "wait as long as it says; test with https.letsencrypt.staging true meanwhile"
    if _UNTRUSTED.search(message):
        return "name its root certificate: sudo tljh-config set https.letsencrypt.ca_bundle FILE"
    if request.dns_provider:
        return f"check that the credentials may change the zone of {domain}"
    if "nxdomain" in low or "no valid ip" in low or low.startswith("dns"):
        return f"have the DNS of {domain} lead to this machine"
    if "connection" in low or "timeout" in low or low.startswith("unauthorized"):
        return (
            f"port 80 of {domain} must reach this hub from the Internet "
            "(firewall, NAT, a CDN in between); check with: sudo tljh cert check"
        )
    return "correct the cause above"


RSA_BITS = 2048


def make_key(kind: str) -> bytes:
    """Make a private key as PEM: `ecdsa` (P-256) or `rsa`."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = (
        rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        if kind == "rsa"
        else ec.generate_private_key(ec.SECP256R1())
    )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def make_signing_request(key: bytes, names: Sequence[str]) -> bytes:
    """Make a signing request for a certificate of these names, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
    )
    signer = load_pem_private_key(key, password=None)
    return builder.sign(signer, SHA256()).public_bytes(Encoding.PEM)  # type: ignore[arg-type]
