"""Well known."""

from __future__ import annotations

SLICE = "jupyter.slice"


# What a password that somebody chooses must have at least.
SHORTEST_PASSWORD = 8


INSTANCE_HEADER = "X-TLJH-Instance"


HUB_UNIT = "jupyterhub.service"


PROXY_UNIT = "traefik.service"


# The hub itself listens here, on loopback.
HUB_PORT = 15001


# Below /hub/: where people get the certificate of the machine's own authority.
AUTHORITY_PAGE = "ca.crt"


# An authority asks here, over plain HTTP, for the answer to its challenge.
CHALLENGE_PATH = "/.well-known/acme-challenge/"


# Answers always, with this hub's mark: whether a name leads here can be seen before one asks.
REACH_PATH = f"{CHALLENGE_PATH}tljh-reach"


TRAEFIK_GROUP = "traefik"
