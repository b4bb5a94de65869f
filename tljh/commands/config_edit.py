"""`tljh-config edit`: open config.yaml in an editor, and check it before it is saved."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tljh.base.errors import Finding, TljhError
from tljh.base.files import read_file
from tljh.host.editor import EditedCopy
from tljh.operations.installed_config import open_installed_file


@dataclass(frozen=True)
class EditorResult:
    """Whether an edit in the editor was saved."""

    is_change: bool

    def as_text(self) -> str:
        if not self.is_change:
            return "nothing was changed"
        return "saved\nTo apply it: sudo tljh-config reload"

    def as_json(self) -> dict[str, bool]:
        return {"changed": self.is_change}


def edit(*, config_path: Path | None = None) -> EditorResult:
    """Open the configuration in $EDITOR; a text with mistakes is not saved."""
    file = open_installed_file(config_path)
    before = read_file(file.path)
    with EditedCopy(file.path, before) as copy:
        while True:
            after = copy.edit()
            if after == before:
                return EditorResult(False)
            findings = file.examine(after).findings("error", "incomplete")
            if not findings:
                file.replace(before, after)
                return EditorResult(True)
            if not _ask_again(findings):
                raise TljhError(findings)


def _ask_again(findings: list[Finding]) -> bool:
    """Print the findings and ask whether to open the editor again; without a terminal, no."""
    if not sys.stdin.isatty():
        return False
    print("\n".join(finding.as_text() for finding in findings), file=sys.stderr)
    print("Edit again? [Y/n] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")
