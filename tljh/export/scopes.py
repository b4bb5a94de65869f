"""Scopes of the hub's API for JupyterHub 5.5, which has fewer."""

from __future__ import annotations

# Scopes that JupyterHub 5.5 does not have, and the narrowest that includes them. It fails on a
# scope that it does not know.
OLDER_SCOPES = {"start:servers": "servers"}


def convert_scope(scope: str) -> str:
    """Return a scope that JupyterHub 5.5 has; its filter stays."""
    base, mark, limit = scope.partition("!")
    return f"{OLDER_SCOPES.get(base, base)}{mark}{limit}"
