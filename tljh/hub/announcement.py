"""The announcement of `tljh announce`: its file, which the hub reads for each page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Announcement:
    """A text for the top of all pages; `until` is the time in UTC when it ends."""

    text: str
    until: datetime | None = None

    def is_shown(self, time: datetime) -> bool:
        return self.until is None or time < self.until

    def as_bytes(self) -> bytes:
        until = self.until.isoformat() if self.until else None
        return json.dumps({"text": self.text, "until": until}).encode() + b"\n"


def parse_announcement(data: bytes) -> Announcement | None:
    """Return the announcement of a file's content; None if it is damaged."""
    try:
        content = json.loads(data)
        until = datetime.fromisoformat(content["until"]) if content["until"] else None
        return Announcement(str(content["text"]), until)
    except (ValueError, KeyError, TypeError):
        return None
