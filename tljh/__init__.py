"""A JupyterHub for one machine that its owner can leave alone."""

from __future__ import annotations

__version__ = "0.1.0"

# The oldest release that this one can replace. From an older one, the admin upgrades to a release
# between the two first.
UPGRADES_FROM = "0.1.0"
