"""Users' servers: their limits, and their isolation from each other and from the machine."""

from __future__ import annotations
