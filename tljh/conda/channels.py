"""Conda channels: their URLs, their display without secrets, and the variables to reach them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tljh.base.package_indexes import (
    build_uv_environment,
    find_pip_configuration_files,
    read_package_indexes,
    read_pip_configuration,
)
from tljh.base.paths import Paths
from tljh.host.interface import HostReader

# conda's own default for `channel_alias`: a bare name is a channel of this host.
ALIAS = "https://conda.anaconda.org/"


def get_channel_url(channel: str) -> str:
    """Return the URL of a channel that is given as a name, a URL or an absolute path."""
    if channel.startswith("/"):
        return Path(channel).as_uri()
    return channel.rstrip("/") if "://" in channel else ALIAS + channel.strip("/")


def redact_channel(channel: str) -> str:
    """Remove what gives access from a channel: `user:password@`, `/t/<token>` and the query."""
    if "://" not in channel:
        return channel
    parts = urlsplit(channel)
    segments = parts.path.split("/")
    if "t" in segments[:-1]:
        segments[segments.index("t") + 1] = "***"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, "/".join(segments), "", ""))


def format_channels(channels: Sequence[str]) -> str:
    """Return the channels for a message, comma-separated and redacted."""
    return ", ".join(redact_channel(channel) for channel in channels)


def redact_message(text: str, channels: Sequence[str]) -> str:
    """Redact every URL of `channels` in a message of rattler."""
    for channel in channels:
        text = text.replace(get_channel_url(channel), redact_channel(get_channel_url(channel)))
    return text


def build_package_environment(
    host: HostReader, paths: Paths, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables with which uv and rattler reach the indexes, channels and caches.

    sudo drops most variables, so those of the installation are kept; `environ` wins over them.
    """
    kept = _read_variables(host.read(paths.kept_environment) or b"")
    merged = {**kept, **environ}
    configuration = read_pip_configuration(find_pip_configuration_files(merged))
    uv_variables = build_uv_environment(read_package_indexes(merged, configuration), merged)
    cache = {name: environ[name] for name in ("RATTLER_CACHE_DIR",) if name in environ}
    return {**kept, **uv_variables, **cache}


def _read_variables(data: bytes) -> dict[str, str]:
    try:
        variables = json.loads(data)
    except ValueError:
        return {}
    if not isinstance(variables, dict):
        return {}
    return {str(name): str(value) for name, value in variables.items()}
