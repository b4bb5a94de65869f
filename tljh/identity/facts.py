"""Facts about the machine's identity: what tells it from a copy of its disk."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.host.interface import HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config

# What each of them is called in messages. A file that the machine does not have counts for nothing.
SOURCES = {
    Path("/sys/class/dmi/id/product_uuid"): "system UUID",
    Path("/var/lib/cloud/data/instance-id"): "cloud instance",
    Path("/etc/machine-id"): "machine-id",
}


@dataclass(frozen=True)
class IdentityFacts:
    """The file with the recorded identity, and the machine's own one."""

    recorded: bytes | None
    current: bytes


def read(host: HostReader, config: Config, paths: Paths) -> IdentityFacts:
    """Read who the machine was when its secrets were made, and who it is."""
    return IdentityFacts(host.read(paths.identity), read_identity(host))


def read_identity(host: HostReader) -> bytes:
    """Return the file that records this machine."""
    values = {
        name: text
        for path, name in SOURCES.items()
        if (text := (host.read(path) or b"").decode(errors="replace").strip())
    }
    return json.dumps(values, indent=1).encode() + b"\n"


def find_differences(facts: IdentityFacts) -> list[str]:
    """Return a text for each value that the machine had otherwise; empty for the same machine."""
    try:
        recorded = dict(json.loads(facts.recorded or b"{}"))
    except ValueError:
        return []
    current = json.loads(facts.current)
    return [
        f"its {name} was {recorded[name]}, and is {current[name]}"
        for name in SOURCES.values()
        if name in recorded and name in current and recorded[name] != current[name]
    ]
