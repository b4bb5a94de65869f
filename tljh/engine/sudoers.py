"""Rules for sudo as a resource, checked by visudo before they are written.

A mistake in one of sudo's files disables sudo for every user.
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
    """A file of rules; sudo ignores one that is not owned by root, or writable by others."""

    mode: int = 0o440

    kind: ClassVar[str] = "sudoers"

    def apply(self, host: Host, progress: Progress) -> None:
        check = host.run(
            ["visudo", "--check", "--file=-"], timeout_s=TIMEOUT_S, stdin=self.data.decode()
        )
        if not check.ok:
            raise TljhError(
                f"the rules for {self.path} are refused by sudo",
                why=(check.err or check.out).strip(),
                fix="report this as a bug of tljh; sudo keeps its current rules",
            )
        super().apply(host, progress)
