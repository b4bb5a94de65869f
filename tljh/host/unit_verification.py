"""What systemd says of a unit that is not installed."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from tljh.base.errors import TljhError
from tljh.host.interface import HostReader


def verify_unit(host: HostReader, text: str) -> list[tuple[int, str]]:
    """Have systemd read a service's unit; return its complaints with their lines, from 1.

    There are none where systemd cannot be asked.
    """
    with tempfile.TemporaryDirectory() as directory:
        unit = Path(directory) / "tljh-candidate.service"
        unit.write_text(text)
        try:
            answer = host.query(["systemd-analyze", "verify", "--man=no", str(unit)])
        except (TljhError, OSError):
            return []
    complaints = re.findall(rf"^{re.escape(str(unit))}:(\d+): (.*)$", answer.err, re.M)
    return [(int(line), why) for line, why in complaints]
