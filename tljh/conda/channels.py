"""Conda channels: their URLs, their display without secrets, and the variables to reach them."""

from __future__ import annotations

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
from tljh.settings.package_variables import read_package_variables

# conda's own default for `channel_alias`: a bare name is a channel of this host.
ALIAS = "https://conda.anaconda.org/"


def get_channel_url(channel: str) -> str:
    """Return the URL of a channel that is given as a name, a URL or an absolute path."""
    if channel.startswith("/"):
        return Path(channel).as_uri()
    return channel.rstrip("/") if "://" in channel else ALIAS + channel.strip("/")


def use_mirrors(channels: Sequence[str], mirrors: Mapping[str, str]) -> tuple[str, ...]:
    """Return the channels with the URLs of their mirrors, where there are any."""
    return tuple(_find_mirror(channel, mirrors) or channel for channel in channels)


def _find_mirror(channel: str, mirrors: Mapping[str, str]) -> str | None:
    url = get_channel_url(channel)
    for name, mirror in mirrors.items():
        original = get_channel_url(name)
        if url == original or url.startswith(f"{original}/"):
            return mirror.rstrip("/") + url.removeprefix(original)
    return None


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

    sudo drops most variables, so those of the installation are kept. Those of config.yaml come
    over them, and `environ` wins over both.
    """
    kept = read_package_variables(host, paths)
    merged = {**kept, **environ}
    configuration = read_pip_configuration(find_pip_configuration_files(merged))
    uv_variables = build_uv_environment(read_package_indexes(merged, configuration), merged)
    if "UV_NO_INDEX" in uv_variables:
        # A bundle, or pip's own setting: uv must not ask an index of the settings.
        kept = {name: value for name, value in kept.items() if not name.startswith("UV_")}
    cache = {name: environ[name] for name in ("RATTLER_CACHE_DIR",) if name in environ}
    return {**kept, **uv_variables, **cache}
