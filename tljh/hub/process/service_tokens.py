"""Tokens of tljh's own services: one that was rotated opens nothing any more."""

from __future__ import annotations

from typing import Any

from jupyterhub import orm

from tljh.hub.api_client import SERVICE
from tljh.hub.process.load_config import METRICS_SERVICE

# JupyterHub notes it with each token that it takes from the configuration.
NOTE = "from config"


def remove_stale_tokens(db: Any, service_tokens: dict[str, str]) -> int:
    """Delete earlier tokens of tljh's services; return how many. JupyterHub keeps them for ever."""
    current = {name: token for token, name in service_tokens.items()}
    removed = 0
    for name in (SERVICE, METRICS_SERVICE):
        service = orm.Service.find(db, name)
        token = current.get(name)
        if service is None or token is None:
            continue
        for stored in list(service.api_tokens):
            if stored.note == NOTE and not stored.match(token):
                db.delete(stored)
                removed += 1
    db.commit()
    return removed
