"""The version of systemd that runs on the machine."""

from __future__ import annotations

import re

from tljh.host.interface import HostReader


def read_systemd_version(host: HostReader) -> int:
    """Return systemd's major version; 0 if it cannot be read."""
    match = re.match(r"systemd (\d+)", host.query(["systemctl", "--version"]).out)
    return int(match[1]) if match else 0
