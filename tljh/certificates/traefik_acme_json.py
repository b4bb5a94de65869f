"""Certificates in the file that Traefik's own ACME client kept (acme.json)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from tljh.certificates.x509 import TlsPair, Unreadable, covers, read_details

FILE = "acme.json"


def certificate_from(
    data: bytes | None, names: Sequence[str], now: datetime, served: bytes | None = None
) -> TlsPair | None:
    """The one that covers all names and lasts longest; None where none does.

    Expired ones don't count, but for that whose chain is `served`.
    """
    fitting = []
    for certificate in _certificates(data or b""):
        try:
            about = read_details(certificate.chain)
        except Unreadable:
            continue
        is_usable = about.is_valid(now) or certificate.chain == served
        if is_usable and all(covers(name, about.names) for name in names):
            fitting.append((about.not_after, certificate))
    return max(fitting, key=lambda one: one[0])[1] if fitting else None


def _certificates(data: bytes) -> Iterator[TlsPair]:
    try:
        told = json.loads(data)
        # Traefik 1 had one resolver's content at the top.
        resolvers: list[Any] = [told, *told.values()]
    except (ValueError, AttributeError):
        return
    for resolver in resolvers:
        for entry in (resolver.get("Certificates") if isinstance(resolver, dict) else None) or ():
            # Traefik 1 wrote these names with a capital letter.
            entry = {str(name).lower(): value for name, value in entry.items()}
            try:
                yield TlsPair(
                    chain=base64.b64decode(entry["certificate"]), key=base64.b64decode(entry["key"])
                )
            except (KeyError, TypeError, binascii.Error):
                continue
