"""Traefik's dynamic configuration: middlewares, certificates, and the routes that are not users'.

Traefik watches these files and takes changes up at once. They are read as Go templates, in which
`{{` begins code, so every text that comes from outside goes through `literal`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh.base.well_known import CHALLENGE_PATH, HUB_PORT, INSTANCE_HEADER, REACH_PATH
from tljh.certificates.acme_request import CHALLENGE_PORT
from tljh.certificates.x509 import TlsPair
from tljh.proxy.supervisor.interface import READY_ENTRY_POINT
from tljh.proxy.traefik_static import REDIRECT_PRIORITY, Tree, as_yaml
from tljh.settings.sections.https import HSTS_S

HEADER = "# Written by tljh; edits are overwritten. Add files of your own to state/rules/.\n"


ROUTES_FILE = "rules.toml"


TLS_FILE = "tls.yaml"


CHALLENGE_PRIORITY = 2 * REDIRECT_PRIORITY


RETRY_ATTEMPTS = 20


RETRY_INTERVAL_MS = 250


RESERVED_FILES = ("tljh.yaml", TLS_FILE, ROUTES_FILE)


# Other sites learn the hub's name and no more. They do have to learn that: players that notebooks
# embed (YouTube's) refuse to play for somebody who says nothing.
REFERRER_POLICY = "strict-origin-when-cross-origin"


# Forward secrecy and authenticated encryption only (Mozilla's "intermediate", RSA and ECDSA).
CIPHER_SUITES = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
)


@dataclass(frozen=True)
class DynamicInputs:
    """What decides the dynamic configuration."""

    api_username: str
    api_password_hash: str
    certificates: Sequence[TlsPair] = ()
    has_https: bool = False
    https_port: int = 443
    # The certificate comes in a later step, which writes the file that names it.
    awaits_certificate: bool = False
    hsts_s: int | None = HSTS_S
    # The authority's certificate comes over plain HTTP, as HTTPS isn't trusted before.
    authority_path: str | None = None
    instance: str = ""
    directory: Path = Path("/var/lib/tljh-traefik")


@dataclass(frozen=True)
class ProxyFile:
    """A file below Traefik's directory: owner root, group traefik."""

    path: Path
    content: bytes
    mode: int = 0o640


def api_password_hash(password: str) -> str:
    """The password of Traefik's API as its basic authentication stores it.

    Not a slow hash: the password is a random secret of 256 bits, and the hub asks the API
    several times for every server it starts.
    """
    digest = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "{SHA}" + base64.b64encode(digest).decode("ascii")


def literal(text: str) -> str:
    """Text that Traefik's template reader passes on as it is."""
    return text.replace("{{", '{{"{{"}}')


def middlewares(inputs: DynamicInputs) -> Tree:
    """The middlewares that the entry points name, and the API's authentication.

    All of them, always: while HTTPS is being switched off, its entry point still serves.
    """
    return {
        "tljh-security-headers": {
            "headers": {"contentTypeNosniff": True, "referrerPolicy": REFERRER_POLICY}
        },
        "tljh-retry": {
            "retry": {
                "attempts": RETRY_ATTEMPTS,
                "initialInterval": f"{RETRY_INTERVAL_MS}ms",
            }
        },
        "tljh-api-auth": {
            "basicAuth": {
                "users": [literal(f"{inputs.api_username}:{inputs.api_password_hash}")],
                "removeHeader": True,
            }
        },
        "tljh-mark": {"headers": {"customResponseHeaders": {INSTANCE_HEADER: inputs.instance}}},
        "tljh-hsts": {"headers": _hsts(inputs.hsts_s)},
    }


def _hsts(hsts_s: int | None) -> Tree:
    if hsts_s is None:
        return {"contentTypeNosniff": True}  # a middleware that sets nothing is no middleware
    # Traefik's own setting leaves the header out for 0, by which browsers forget it.
    return {"customResponseHeaders": {"Strict-Transport-Security": f"max-age={hsts_s}"}}


def own_routes(inputs: DynamicInputs) -> Tree:
    """The content of tljh.yaml."""
    made: Tree = {
        "http": {
            "routers": {
                "tljh-api": {
                    "entryPoints": ["auth_api"],
                    # Whatever is asked for here is asked for a password first.
                    "rule": "PathPrefix(`/`)",
                    "service": "api@internal",
                    "middlewares": ["tljh-api-auth"],
                },
                # Answers once the files are read: how the supervisor knows that a new
                # process routes requests.
                "tljh-ready": {
                    "entryPoints": [READY_ENTRY_POINT],
                    "rule": "Path(`/ping`)",
                    "service": "ping@internal",
                },
                # Always there, so that nobody's server ever answers in place of certbot, and
                # before the redirection to HTTPS.
                "tljh-acme": {
                    "entryPoints": ["http"],
                    "rule": f"PathPrefix(`{CHALLENGE_PATH}`)",
                    "priority": CHALLENGE_PRIORITY,
                    "service": "tljh-acme",
                },
                "tljh-reach": {
                    "entryPoints": ["http"],
                    "rule": f"Path(`{REACH_PATH}`)",
                    "priority": CHALLENGE_PRIORITY + 1,
                    "service": "ping@internal",
                    "middlewares": ["tljh-mark"],
                },
            },
            "services": {
                "tljh-acme": {
                    "loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{CHALLENGE_PORT}"}]}
                }
            },
            "middlewares": middlewares(inputs),
        }
    }
    if inputs.has_https:
        # Traefik's own redirection loses the brackets of `[2001:db8::1]:8080`, and answers 502.
        made["http"]["routers"]["tljh-ipv6-to-https"] = {
            "entryPoints": ["http"],
            "rule": "HostRegexp(`:.*:`)",
            "priority": REDIRECT_PRIORITY + 1,
            "service": "noop@internal",
            "middlewares": ["tljh-ipv6-to-https"],
        }
        port = "" if inputs.https_port == 443 else f":{inputs.https_port}"
        made["http"]["middlewares"]["tljh-ipv6-to-https"] = {
            "redirectRegex": {
                "regex": r"^http://(\[[^\]]+\])(:[0-9]+)?(.*)$",
                "replacement": f"https://${{1}}{port}${{3}}",
                "permanent": True,
            }
        }
    if inputs.authority_path:
        made["http"]["routers"]["tljh-authority"] = {
            "entryPoints": ["http"],
            "rule": literal(f"Path(`{inputs.authority_path}`)"),
            "priority": REDIRECT_PRIORITY + 2,
            "service": "tljh-hub",
        }
        hub = {"url": f"http://127.0.0.1:{HUB_PORT}"}
        made["http"].setdefault("services", {})["tljh-hub"] = {"loadBalancer": {"servers": [hub]}}
    return made


def tls(inputs: DynamicInputs) -> Tree:
    """The content of tls.yaml: what connections are accepted, and with which certificates."""
    made: Tree = {
        "tls": {
            "options": {
                "default": {
                    "minVersion": "VersionTLS12",
                    "cipherSuites": list(CIPHER_SUITES),
                    "sniStrict": False,
                }
            }
        }
    }
    pairs = [
        {
            "certFile": literal(str(_chain_path(inputs, certificate))),
            "keyFile": literal(str(_key_path(inputs, certificate))),
        }
        for certificate in inputs.certificates
    ]
    if pairs:
        made["tls"]["certificates"] = pairs
        made["tls"]["stores"] = {"default": {"defaultCertificate": pairs[0]}}
    return made


def dynamic_files(
    inputs: DynamicInputs, drop_ins: Mapping[str, bytes] | None = None
) -> list[ProxyFile]:
    """Everything Traefik reads while it runs but users' routes, in the order to write it.

    Certificates come before the file that names them. `drop_ins` are admins' files by name.
    """
    dynamic = inputs.directory / "dynamic"
    files = certificate_files(inputs)
    if inputs.has_https and not inputs.awaits_certificate:
        files.append(tls_file(inputs))
    files.append(_yaml_file(dynamic / "tljh.yaml", own_routes(inputs)))
    for name, content in sorted((drop_ins or {}).items()):
        files.append(ProxyFile(dynamic / name, content))
    return files


def certificate_files(inputs: DynamicInputs) -> list[ProxyFile]:
    """The pairs, under names that change with them."""
    files = []
    for certificate in inputs.certificates:
        files.append(ProxyFile(_chain_path(inputs, certificate), certificate.chain))
        files.append(ProxyFile(_key_path(inputs, certificate), certificate.key))
    return files


def tls_file(inputs: DynamicInputs) -> ProxyFile:
    """The file that names the pairs; to be written after them."""
    return _yaml_file(inputs.directory / "dynamic" / TLS_FILE, tls(inputs))


def stale_files(present: Sequence[str], wanted: Sequence[ProxyFile]) -> list[str]:
    """Names in dynamic/ that an earlier configuration left; the hub's routes are never stale."""
    keep = {file.path.name for file in wanted} | {ROUTES_FILE}
    return [
        name for name in present if name not in keep and name.endswith((".toml", ".yaml", ".yml"))
    ]


def _chain_path(inputs: DynamicInputs, certificate: TlsPair) -> Path:
    return inputs.directory / "certs" / f"{certificate.name}.pem"


def _key_path(inputs: DynamicInputs, certificate: TlsPair) -> Path:
    return inputs.directory / "certs" / f"{certificate.name}.key"


def _yaml_file(path: Path, tree: Mapping[str, Any]) -> ProxyFile:
    return ProxyFile(path, as_yaml(tree, HEADER).encode())
