"""Certificates: your own, of an authority of this machine, or by ACME."""

from __future__ import annotations
