"""Traefik's dynamic configuration: middlewares, certificates, and all routes but those of users.

Traefik watches these files and loads a change at once. It reads them as Go templates, in which
`{{` begins code. So every text from outside goes through `escape_template`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tljh.base.paths import Paths
from tljh.base.well_known import (
    AWAY_PAGE_PORT,
    AWAY_PAGE_SERVICE,
    CHALLENGE_PATH,
    COOKIE_REMOVAL_PREFIX,
    HUB_MIDDLEWARES,
    HUB_PORT,
    HUB_TLS_TRANSPORT,
    HUB_TRANSPORT,
    INSTANCE_HEADER,
    MOST_COOKIE_BYTES,
    PAGES_PORT,
    REACH_PATH,
)
from tljh.certificates.acme_request import CHALLENGE_PORT
from tljh.certificates.x509 import TlsPair
from tljh.proxy.supervisor.interface import READY_ENTRY_POINT
from tljh.proxy.traefik_static import REDIRECT_PRIORITY, Tree, format_yaml
from tljh.settings.sections.https import HSTS_S

HEADER = "# Written by tljh; edits are overwritten. Add files of your own to state/rules/.\n"


CHALLENGE_PRIORITY = 2 * REDIRECT_PRIORITY


# Above all routes of users and admins, below the redirection to HTTPS.
COOKIES_PRIORITY = REDIRECT_PRIORITY // 2


RETRY_ATTEMPTS = 20


RETRY_INTERVAL_MS = 250


# Longer than any answer of the hub: a login waits for a directory for half a minute at most.
LONGEST_HUB_ANSWER_S = 60


RESERVED_FILES = tuple(
    path.name
    for path in (
        Paths().traefik_own_file,
        Paths().traefik_tls_file,
        Paths().traefik_routes_file,
    )
)


# Forward secrecy and authenticated encryption only (Mozilla's "intermediate", RSA and ECDSA).
CIPHER_SUITES = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
)


# Traefik refuses a middleware that sets nothing. This header is on all answers anyway.
_NO_CHANGE = {"contentTypeNosniff": True}


@dataclass(frozen=True)
class DynamicInputs:
    """All that the dynamic configuration depends on."""

    api_username: str
    api_password_hash: str
    certificates: Sequence[TlsPair] = ()
    has_https: bool = False
    https_port: int = 443
    # A later step of the plan obtains the certificate, and writes the file that names it.
    awaits_certificate: bool = False
    hsts_s: int | None = HSTS_S
    # Where the local CA's certificate is served over plain HTTP: before a browser has it, the
    # browser does not trust HTTPS.
    authority_path: str | None = None
    # Whether the hub's own port speaks TLS.
    has_internal_ssl: bool = False
    instance: str = ""
    # Requests of one address, web sockets included, at each of Traefik's routes; 0 for no limit.
    requests_per_address: int = 0
    trusted_proxies: Sequence[str] = ()
    # Paths of the page server, with the priorities of their routes; None for the usual one.
    page_paths: Mapping[str, int | None] = field(default_factory=dict)
    paths: Paths = field(default_factory=Paths)


@dataclass(frozen=True)
class ProxyFile:
    """A file below Traefik's directory: owner root, group traefik."""

    path: Path
    content: bytes
    mode: int = 0o640


def hash_api_password(password: str) -> str:
    """Hash the password of Traefik's API for its basic authentication.

    A slow hash is not needed for a random secret of 256 bits, and the hub calls the API several
    times for every server that it starts.
    """
    digest = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "{SHA}" + base64.b64encode(digest).decode("ascii")


def escape_template(text: str) -> str:
    """Escape a text so that Traefik's template reader leaves it as it is."""
    return text.replace("{{", '{{"{{"}}')


def build_middlewares(inputs: DynamicInputs) -> Tree:
    """Return Traefik's middlewares that entry points use, and the login of its API.

    All of them are always defined: while HTTPS is being switched off, its entry point still serves.
    """
    return {
        "tljh-security-headers": {"headers": {"contentTypeNosniff": True}},
        "tljh-retry": {
            "retry": {
                "attempts": RETRY_ATTEMPTS,
                "initialInterval": f"{RETRY_INTERVAL_MS}ms",
            }
        },
        "tljh-api-auth": {
            "basicAuth": {
                "users": [escape_template(f"{inputs.api_username}:{inputs.api_password_hash}")],
                "removeHeader": True,
            }
        },
        # Where the hub's route has it, it comes before the retry. It sees what the retry gives up.
        HUB_MIDDLEWARES[0]: {
            "errors": {
                "status": ["502", "504"],
                "statusRewrites": {"502": 503, "504": 503},
                "service": AWAY_PAGE_SERVICE,
                "query": "/?url={url}",
            }
        },
        "tljh-cookies": {"addPrefix": {"prefix": COOKIE_REMOVAL_PREFIX}},
        "tljh-mark": {"headers": {"customResponseHeaders": {INSTANCE_HEADER: inputs.instance}}},
        "tljh-hsts": {"headers": _build_hsts(inputs.hsts_s)},
        "tljh-requests-per-address": _build_request_limit(inputs),
    }


def _build_length_pattern(length: int) -> str:
    """Return a regular expression for texts of so many characters; Go repeats 1,000 times."""
    return "^" + ".{1000}" * (length // 1000)


def _build_request_limit(inputs: DynamicInputs) -> Tree:
    """Return the limit that also counts the requests within one connection of HTTP/2.

    Behind trusted proxies it is the only one: nftables sees their addresses, not the visitors'.
    """
    if not inputs.requests_per_address:
        return {"headers": dict(_NO_CHANGE)}
    # The last forwarded address that is not of a trusted proxy. Without it, the connection's.
    strategy: Tree = {"ipv6Subnet": 64}
    if inputs.trusted_proxies:
        strategy["excludedIPs"] = list(inputs.trusted_proxies)
    return {
        "inFlightReq": {
            "amount": inputs.requests_per_address,
            "sourceCriterion": {"ipStrategy": strategy},
        }
    }


def _build_hsts(hsts_s: int | None) -> Tree:
    if hsts_s is None:
        return dict(_NO_CHANGE)
    # Traefik's own setting omits the header for 0. But 0 must be sent: it makes browsers forget.
    return {"customResponseHeaders": {"Strict-Transport-Security": f"max-age={hsts_s}"}}


def build_own_routes(inputs: DynamicInputs) -> Tree:
    """Return the dynamic configuration that tljh itself needs, the file tljh.yaml.

    It routes Traefik's API, the supervisor's readiness request, challenges of certificate
    authorities and the page of the local CA, and has all middlewares.
    """
    tree: Tree = {
        "http": {
            "routers": {
                "tljh-api": {
                    "entryPoints": ["auth_api"],
                    # Every path of this entry point needs the password.
                    "rule": "PathPrefix(`/`)",
                    "service": "api@internal",
                    "middlewares": ["tljh-api-auth"],
                },
                # Answers once the files are loaded. So the supervisor knows that a new process
                # routes requests.
                "tljh-ready": {
                    "entryPoints": [READY_ENTRY_POINT],
                    "rule": "Path(`/ping`)",
                    "service": "ping@internal",
                },
                # Always defined: without it, a user's route could answer in place of certbot. Its
                # priority is above that of the redirection to HTTPS.
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
                # A page of a user's server can store so many cookies for other pages that no
                # program reads the request any more. The next answer deletes them.
                "tljh-cookies": {
                    # The short pattern is fast, and ends the look at almost all requests.
                    "rule": "HeaderRegexp(`Cookie`, `^.{900}`) && "
                    f"HeaderRegexp(`Cookie`, `{_build_length_pattern(MOST_COOKIE_BYTES)}`)",
                    "priority": COOKIES_PRIORITY,
                    "service": AWAY_PAGE_SERVICE,
                    "middlewares": ["tljh-cookies"],
                },
            },
            "services": {
                "tljh-acme": {
                    "loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{CHALLENGE_PORT}"}]}
                },
                # The hub's own routes name it (tljh/hub/process/traefik_routes.py).
                AWAY_PAGE_SERVICE: {
                    "loadBalancer": {"servers": [{"url": f"http://127.0.0.1:{AWAY_PAGE_PORT}"}]}
                },
            },
            # Like the default one of the static file, but it ends the wait of a request that no
            # hub accepts: systemd keeps the hub's socket, so that it would last for ever.
            "serversTransports": {
                HUB_TRANSPORT: {
                    "maxIdleConnsPerHost": -1,
                    "forwardingTimeouts": {"responseHeaderTimeout": f"{LONGEST_HUB_ANSWER_S}s"},
                }
            },
            "middlewares": build_middlewares(inputs),
        }
    }
    if inputs.has_https:
        # Traefik's own redirection loses the brackets of `[2001:db8::1]:8080`, and answers 502.
        tree["http"]["routers"]["tljh-ipv6-to-https"] = {
            "entryPoints": ["http"],
            "rule": "HostRegexp(`:.*:`)",
            "priority": REDIRECT_PRIORITY + 1,
            "service": "noop@internal",
            "middlewares": ["tljh-ipv6-to-https"],
        }
        port = "" if inputs.https_port == 443 else f":{inputs.https_port}"
        tree["http"]["middlewares"]["tljh-ipv6-to-https"] = {
            "redirectRegex": {
                "regex": r"^http://(\[[^\]]+\])(:[0-9]+)?(.*)$",
                "replacement": f"https://${{1}}{port}${{3}}",
                "permanent": True,
            }
        }
    if inputs.authority_path:
        tree["http"]["routers"]["tljh-authority"] = {
            "entryPoints": ["http"],
            "rule": escape_template(f"Path(`{inputs.authority_path}`)"),
            "priority": REDIRECT_PRIORITY + 2,
            "service": "tljh-hub",
        }
        scheme = "https" if inputs.has_internal_ssl else "http"
        balancer: Tree = {"servers": [{"url": f"{scheme}://127.0.0.1:{HUB_PORT}"}]}
        if inputs.has_internal_ssl:
            balancer["serversTransport"] = HUB_TLS_TRANSPORT
        tree["http"]["services"]["tljh-hub"] = {"loadBalancer": balancer}
    _add_page_routes(tree["http"], inputs.page_paths)
    return tree


def _add_page_routes(http: Tree, page_paths: Mapping[str, int | None]) -> None:
    """Add the routes of the page server, at all entry points of users."""
    for index, (path, priority) in enumerate(sorted(page_paths.items())):
        rule = f"PathPrefix(`{path}`)"
        if path != "/":
            rule += f" || Path(`{path.rstrip('/')}`)"
        router: Tree = {
            "rule": escape_template(rule),
            "service": "tljh-pages",
            "middlewares": ["tljh-retry"],
        }
        # The default of Traefik is the length of the rule. Here, that of its first half.
        router["priority"] = priority or len(rule.partition(" ||")[0])
        http["routers"][f"tljh-page-{index}"] = router
    if page_paths:
        server = {"url": f"http://127.0.0.1:{PAGES_PORT}"}
        http["services"]["tljh-pages"] = {"loadBalancer": {"servers": [server]}}


def build_tls(inputs: DynamicInputs) -> Tree:
    """Return Traefik's TLS options and the certificates that it serves, the file tls.yaml."""
    tree: Tree = {
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
            "certFile": escape_template(str(_get_chain_path(inputs, certificate))),
            "keyFile": escape_template(str(_get_key_path(inputs, certificate))),
        }
        for certificate in inputs.certificates
    ]
    if pairs:
        tree["tls"]["certificates"] = pairs
        tree["tls"]["stores"] = {"default": {"defaultCertificate": pairs[0]}}
    return tree


def build_dynamic_files(
    inputs: DynamicInputs, drop_ins: Mapping[str, bytes] | None = None
) -> list[ProxyFile]:
    """Return all dynamic files but users' routes, in the order in which to write them.

    Certificates come before the file that names them. `drop_ins` are admins' files by name.
    """
    files = build_certificate_files(inputs)
    if inputs.has_https and not inputs.awaits_certificate:
        files.append(build_tls_file(inputs))
    files.append(_make_yaml_file(inputs.paths.traefik_own_file, build_own_routes(inputs)))
    for name, content in sorted((drop_ins or {}).items()):
        files.append(ProxyFile(inputs.paths.traefik_dynamic / name, content))
    return files


def build_certificate_files(inputs: DynamicInputs) -> list[ProxyFile]:
    """Return the files of all certificates and keys; their names change with their content."""
    files = []
    for certificate in inputs.certificates:
        files.append(ProxyFile(_get_chain_path(inputs, certificate), certificate.chain))
        files.append(ProxyFile(_get_key_path(inputs, certificate), certificate.key))
    return files


def build_tls_file(inputs: DynamicInputs) -> ProxyFile:
    """Return tls.yaml, which names the certificate files; they must be written before it."""
    return _make_yaml_file(inputs.paths.traefik_tls_file, build_tls(inputs))


def find_stale_files(present: Sequence[str], desired: Sequence[ProxyFile]) -> list[str]:
    """Return the names in Traefik's dynamic directory that an earlier configuration left.

    The hub's routes of users are never among them.
    """
    keep = {file.path.name for file in desired} | {Paths().traefik_routes_file.name}
    return [
        name for name in present if name not in keep and name.endswith((".toml", ".yaml", ".yml"))
    ]


def _get_chain_path(inputs: DynamicInputs, certificate: TlsPair) -> Path:
    return inputs.paths.traefik_certs / f"{certificate.name}.pem"


def _get_key_path(inputs: DynamicInputs, certificate: TlsPair) -> Path:
    return inputs.paths.traefik_certs / f"{certificate.name}.key"


def _make_yaml_file(path: Path, tree: Mapping[str, Any]) -> ProxyFile:
    return ProxyFile(path, format_yaml(tree, HEADER).encode())
