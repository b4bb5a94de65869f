"""Certificates of the hub: the admin's own, from this machine's CA, or by ACME."""

from __future__ import annotations
