"""A JupyterHub for one machine that its owner can leave alone."""

from __future__ import annotations

__version__ = "0.1.0"
