"""A machine in memory with a hub, and a certbot that asks a CA of the tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certificates.authority import issue
from tests.operations.test_converge import ENVIRONMENT, PATHS, machine
from tljh.base.clock import get_utc_time
from tljh.host.fake import FakeHost
from tljh.host.interface import DIES_WITH_US, Response, Result
from tljh.proxy.served_certificate import convert_leaf_to_der, read_configured_chain

DIRECTORY = "https://ca.example.org/directory"
CERTBOT = f"{ENVIRONMENT}/bin/certbot"


@dataclass
class CertbotRun:
    """One run of certbot: its command line, environment, and the files that it names."""

    argv: list[str]
    env: Mapping[str, str]
    files: dict[str, bytes]

    def option(self, name: str) -> str:
        return self.argv[self.argv.index(name) + 1]


@dataclass
class CertbotHost(FakeHost):
    """`refusal` is the CA's answer to all further requests; None for a certificate."""

    asked: list[CertbotRun] = field(default_factory=list)
    refusal: Result | None = None
    life: timedelta = timedelta(days=90)
    root = issue("test root", is_authority=True, from_day=-1000, to_day=10_000)

    def run(self, argv, *, timeout_s, env=None, stdin=None, on_line=None):
        if CERTBOT not in argv:
            return super().run(argv, timeout_s=timeout_s, env=env, stdin=stdin, on_line=on_line)
        assert tuple(argv[: argv.index(CERTBOT)]) == DIES_WITH_US
        argv = argv[argv.index(CERTBOT) :]
        self._record_effect(f"certbot {argv[1]}")
        files = {word: self.read(Path(word)) or b"" for word in argv if self.info(Path(word))}
        self.asked.append(CertbotRun(list(argv), dict(env or {}), files))
        if self.refusal is not None:
            return self.refusal
        if argv[1] == "certonly":
            run = self.asked[-1]
            request = x509.load_pem_x509_csr(files[run.option("--csr")])
            self.write(Path(run.option("--fullchain-path")), signed(self, request), mode=0o644)
        return Result(0)


def signed(host: CertbotHost, request: x509.CertificateSigningRequest) -> bytes:
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(host.root.certificate.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(get_utc_time() - timedelta(seconds=5))
        .not_valid_after(get_utc_time() + host.life)
        .add_extension(names.value, critical=False)
        .sign(host.root.key, hashes.SHA256())
    )
    return leaf.public_bytes(Encoding.PEM) + host.root.pem


def secure_machine() -> CertbotHost:
    """Return a fresh machine whose proxy serves what its files name, as Traefik does."""
    plain = machine()
    host = CertbotHost(answers=plain.answers)

    def answer() -> Response:
        from tljh.base.well_known import INSTANCE_HEADER

        instance = (host.read(PATHS.state_dir / "instance") or b"").decode().strip()
        runs = host.unit("jupyterhub.service").is_active and host.unit("traefik.service").is_active
        return Response(200, "ok", {INSTANCE_HEADER: instance}) if runs else Response(0, "refused")

    host.responses["http://127.0.0.1:15001/hub/health"] = answer
    for door in ("http://127.0.0.1:80", "https://127.0.0.1:443"):
        host.responses[f"{door}/hub/login"] = answer
    host.responses[DIRECTORY] = Response(200, "{}")

    def served(name: str | None) -> bytes | None:
        chain = read_configured_chain(host, PATHS)
        return convert_leaf_to_der(chain) if chain else None

    host.served = served
    return host


@contextlib.contextmanager
def authority_down(host: CertbotHost) -> Iterator[None]:
    """Make the authority unreachable within the block."""
    answer = host.responses.pop(DIRECTORY)
    try:
        yield
    finally:
        host.responses[DIRECTORY] = answer


def configuration(*names: str, more: str = "", enabled: bool = True) -> bytes:
    listed = ", ".join(f'"{name}"' for name in names)
    return f"""
users: {{admin: [ada]}}
https:
  enabled: {str(enabled).lower()}
  letsencrypt:
    email: ada@example.org
    domains: [{listed}]
    server: {DIRECTORY}
{more}
""".encode()
