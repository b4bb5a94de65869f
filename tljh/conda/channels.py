"""Conda channels: from what an admin writes to an address, and what may be shown of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

# A name alone stands for a channel of this host, as conda has it.
ALIAS = "https://conda.anaconda.org/"


def channel_url(channel: str) -> str:
    if channel.startswith("/"):
        return Path(channel).as_uri()
    return channel.rstrip("/") if "://" in channel else ALIAS + channel.strip("/")


def shown(channel: str) -> str:
    """A channel without what gives access to it: `user:password@` and `/t/<token>`."""
    if "://" not in channel:
        return channel
    parts = urlsplit(channel)
    segments = parts.path.split("/")
    if "t" in segments[:-1]:
        segments[segments.index("t") + 1] = "***"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, "/".join(segments), "", ""))


def names_of(channels: Sequence[str]) -> str:
    """For messages: which channels, or whose."""
    return ", ".join(shown(channel) for channel in channels)


def without_access(text: str, channels: Sequence[str]) -> str:
    """A message of the engine with every channel in it as it may be shown."""
    for channel in channels:
        text = text.replace(channel_url(channel), shown(channel_url(channel)))
    return text
