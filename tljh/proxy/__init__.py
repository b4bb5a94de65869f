"""Traefik: its static and dynamic configuration, and its supervisor."""

from __future__ import annotations
