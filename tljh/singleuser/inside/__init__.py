"""Keeping the hub's people apart from each other, and the machine from them."""

from __future__ import annotations
