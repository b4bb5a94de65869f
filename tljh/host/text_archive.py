"""Texts packed into one archive, in memory."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping


def pack_texts(texts: Mapping[str, str], directory: str) -> bytes:
    """Return a gzipped tar archive of texts by name, as files of mode 0600 in `directory`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in sorted(texts.items()):
            data = text.encode(errors="replace")
            member = tarfile.TarInfo(f"{directory}/{name}.txt")
            member.size, member.mode = len(data), 0o600
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(buffer.getvalue())
