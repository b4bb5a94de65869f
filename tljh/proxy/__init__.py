"""Traefik: what it is configured with, and how it is kept serving without a gap."""

from __future__ import annotations
