"""Tokens of services: one that was rotated, or removed from a file, opens nothing any more."""

from __future__ import annotations

from typing import Any

from jupyterhub import orm

# JupyterHub notes it with each token that it takes from the configuration.
NOTE = "from config"


def remove_stale_tokens(db: Any, service_tokens: dict[str, str]) -> int:
    """Delete earlier tokens of services; return how many. JupyterHub keeps them for ever.

    `service_tokens` maps the tokens of the configuration to the names of their services.
    """
    removed = 0
    for name in set(service_tokens.values()):
        service = orm.Service.find(db, name)
        current = [token for token, owner in service_tokens.items() if owner == name]
        for stored in list(service.api_tokens) if service is not None else ():
            if stored.note == NOTE and not any(map(stored.match, current)):
                db.delete(stored)
                removed += 1
    db.commit()
    return removed
