"""Rules for sudo as a resource: tried by visudo before they count.

A mistake in any of sudo's files takes sudo away from everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.engine.file_resources import File
from tljh.host.interface import Host

TIMEOUT_S = 30


@dataclass(frozen=True)
class Sudoers(File):
    """A file of rules; sudo demands that it is root's, and not writable."""

    mode: int = 0o440

    kind: ClassVar[str] = "sudoers"

    def apply(self, host: Host, progress: Progress) -> None:
        tried = host.run(
            ["visudo", "--check", "--file=-"], timeout_s=TIMEOUT_S, stdin=self.data.decode()
        )
        if not tried.ok:
            raise TljhError(
                f"sudo would not take the rules for {self.path}",
                why=(tried.err or tried.out).strip(),
                fix="report this; sudo goes on with the rules that it has",
            )
        super().apply(host, progress)
