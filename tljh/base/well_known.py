"""Names and numbers that several parts of tljh must agree on."""

from __future__ import annotations

SLICE = "jupyter.slice"

# In characters, for a password that a user chooses.
SHORTEST_PASSWORD = 8

# A response header in which the hub names itself, so that a health check cannot be satisfied by
# another server on the same address.
INSTANCE_HEADER = "X-TLJH-Instance"
HUB_UNIT = "jupyterhub.service"
PROXY_UNIT = "traefik.service"

# The hub itself listens here, on loopback.
HUB_PORT = 15001

# Below /hub/: where users download the certificate of the machine's own CA.
AUTHORITY_PAGE = "ca.crt"

# A public CA requests the answer to its ACME challenge here, over plain HTTP.
CHALLENGE_PATH = "/.well-known/acme-challenge/"

# Always answers with this hub's mark: so tljh can check that a domain leads to this machine
# before it requests a certificate.
REACH_PATH = f"{CHALLENGE_PATH}tljh-reach"

TRAEFIK_GROUP = "traefik"
