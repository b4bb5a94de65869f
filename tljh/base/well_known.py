"""Names and numbers that several parts of tljh must agree on."""

from __future__ import annotations

from pathlib import Path

SLICE = "jupyter.slice"
# Units of the servers of users, for systemctl.
SERVER_UNITS = "jupyter-*.service"

# In characters, for a password that a user chooses.
SHORTEST_PASSWORD = 8

# A response header in which the hub names itself, so that a health check cannot be satisfied by
# another server on the same address.
INSTANCE_HEADER = "X-TLJH-Instance"
HUB_UNIT = "jupyterhub.service"
PROXY_UNIT = "traefik.service"
# Units of services in config.yaml, for systemctl.
SERVICE_UNITS = "tljh-service-*.service"

# The service of the hub that stops idle servers, and the role that gives it its rights.
CULLER = "cull-idle"
CULLER_ROLE = "idle-culler"

# The hub itself listens here, on loopback.
HUB_PORT = 15001

# Where Traefik's supervisor serves a page in place of a hub that does not answer. A program that
# listens here could ask for passwords, so the port is below 1024, where only root can listen.
AWAY_PAGE_PORT = 403

# Where tljh-pages.service serves the page of servers that do not run, and folders of
# proxy.extra_routes.
PAGES_PORT = 404
PAGES_UNIT = "tljh-pages.service"

# The hub's group of temporary users, the service account that makes them, and its scope.
TEMPORARY_GROUP = "temporary"
LAUNCHER = "launcher"
LAUNCH_SCOPE = "custom:launch"

# Names in Traefik's own file that the hub's routes refer to: the service that leads to that page,
# the middlewares of the hub's route, and its transport.
AWAY_PAGE_SERVICE = "tljh-hub-away"
HUB_MIDDLEWARES = ("tljh-hub-errors", "tljh-retry")
HUB_TRANSPORT = "tljh-hub"
# The one with `internal_ssl`, which the hub writes.
HUB_TLS_TRANSPORT = "tljh-hub-tls"

# Traefik puts it in front of the path of requests with more bytes of cookies than programs take,
# and asks the page of a hub that is away, which deletes them. Tornado takes 64 KiB of headers.
COOKIE_REMOVAL_PREFIX = "/.tljh-cookies"
MOST_COOKIE_BYTES = 32_000

# Below /hub/: where users download the certificate of the machine's own CA.
AUTHORITY_PAGE = "ca.crt"

# A public CA requests the answer to its ACME challenge here, over plain HTTP.
CHALLENGE_PATH = "/.well-known/acme-challenge/"

# Always answers with this hub's mark: so tljh can check that a domain leads to this machine
# before it requests a certificate.
REACH_PATH = f"{CHALLENGE_PATH}tljh-reach"

TRAEFIK_GROUP = "traefik"

# Slurm's controller, at workers.address only.
CONTROLLER_PORT = 6817


def get_service_unit(name: str) -> str:
    """Return the unit of a service in config.yaml."""
    return SERVICE_UNITS.replace("*", name)


def get_certificate_variables(directory: Path) -> dict[str, str]:
    """Return JupyterHub's variables for the key, certificate and authorities of `internal_ssl`."""
    return {
        f"JUPYTERHUB_SSL_{kind}": str(directory / f"internal-ssl-{kind.lower()}.pem")
        for kind in ("KEYFILE", "CERTFILE", "CLIENT_CA")
    }
