"""What the supervisor shares with the code that writes its files. Standard library only."""

from __future__ import annotations

# Traefik answers /ping on this entry point once it routes requests; the supervisor opens its
# socket.
READY_ENTRY_POINT = "ready"


# How long Traefik uses a client's connection: the next answer after that closes it.
KEEP_ALIVE_S = 60


# How long a replaced Traefik keeps its sockets. Longer than KEEP_ALIVE_S, or it would end while
# clients still send requests on kept connections, and those requests would be lost.
KEEP_ALIVE_LIMIT_S = KEEP_ALIVE_S + 5
