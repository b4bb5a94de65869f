"""Certificates in acme.json, the file of Traefik's own ACME client, which TLJH uses."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from tljh.certificates.x509 import TlsPair, UnreadableCertificate, covers, read_details


def find_certificate(
    data: bytes | None, names: Sequence[str], current_time: datetime, served: bytes | None = None
) -> TlsPair | None:
    """Return the pair that covers all names and expires last, or None.

    An expired pair is used only if its chain is `served`.
    """
    fitting = []
    for certificate in _parse_certificates(data or b""):
        try:
            details = read_details(certificate.chain)
        except UnreadableCertificate:
            continue
        is_usable = details.is_valid(current_time) or certificate.chain == served
        if is_usable and all(covers(name, details.names) for name in names):
            fitting.append((details.not_after, certificate))
    return max(fitting, key=lambda entry: entry[0])[1] if fitting else None


def _parse_certificates(data: bytes) -> Iterator[TlsPair]:
    try:
        content = json.loads(data)
        # Newer versions have a map of resolvers; Traefik 1 had one resolver at the top.
        resolvers: list[Any] = [content, *content.values()]
    except (ValueError, AttributeError):
        return
    for resolver in resolvers:
        for entry in (resolver.get("Certificates") if isinstance(resolver, dict) else None) or ():
            # Traefik 1 wrote these keys with a capital letter.
            entry = {str(name).lower(): value for name, value in entry.items()}
            try:
                yield TlsPair(
                    chain=base64.b64decode(entry["certificate"]), key=base64.b64decode(entry["key"])
                )
            except (KeyError, TypeError, binascii.Error):
                continue
