"""A channel in a directory, with just the packages of a list of specs, for any platform."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda.channels import build_package_environment, get_channel_url
from tljh.conda.declared_environment import normalize_spec
from tljh.conda.engine import (
    APPLY_TIMEOUT_S,
    build_worker_command,
    make_line_reader,
    parse_answer,
)
from tljh.conda.environment import RequiredPackage
from tljh.conda.tools import CHOICES
from tljh.host.interface import Host


@dataclass(frozen=True)
class ChannelCopy:
    """What the copy is made from: `added` are specs in addition to the required packages."""

    channels: tuple[str, ...]
    required: tuple[RequiredPackage, ...]
    added: tuple[str, ...]
    platform: str
    virtual_packages: Mapping[str, str]


def copy_channel(
    host: Host, paths: Paths, copy: ChannelCopy, directory: Path, progress: Progress
) -> int:
    """Write the channel to `directory`; return the number of its packages. Raises TljhError."""
    fields = {
        "operation": "copy_channel",
        "channels": [get_channel_url(channel) for channel in copy.channels],
        "specs": [package.spec for package in copy.required],
        "added": [normalize_spec(spec) for spec in copy.added],
        "choices": [list(choice) for choice in CHOICES],
        "platform": copy.platform,
        "virtual_packages": dict(copy.virtual_packages),
        "directory": str(directory),
    }
    result = host.run(
        build_worker_command(),
        timeout_s=APPLY_TIMEOUT_S,
        env=build_package_environment(host, paths, os.environ),
        stdin=json.dumps(fields),
        on_line=make_line_reader(progress),
    )
    packages: int = parse_answer(result, copy.channels)["packages"]
    return packages
