"""Letting somebody edit a text in the editor of their choice."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tljh.errors import TljhError


class EditedCopy:
    """A private copy of a text, for the time of an edit. Use it in a `with` statement."""

    def __init__(self, name: str, text: str, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        # mkdtemp is 0700: what is edited may hold secrets.
        self._directory = Path(tempfile.mkdtemp(prefix="tljh-edit-"))
        self.path = self._directory / name
        self.path.write_bytes(text.encode("utf-8"))
        self._is_kept = False

    def __enter__(self) -> EditedCopy:
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._is_kept:
            shutil.rmtree(self._directory, ignore_errors=True)

    def keep(self) -> Path:
        """Leave the copy where it is, for somebody whose edit could not be saved."""
        self._is_kept = True
        return self.path

    def edit(self) -> bytes:
        """Open the editor, wait until it is closed, and return what was saved."""
        command = self._editor()
        done = subprocess.run([*command, str(self.path)], check=False)
        if done.returncode != 0:
            raise TljhError(
                f"the editor {command[0]} ended with exit code {done.returncode}",
                why="nothing was changed",
            )
        return self.path.read_bytes()

    def _editor(self) -> list[str]:
        for variable in ("VISUAL", "EDITOR"):
            if self._environ.get(variable):
                return shlex.split(self._environ[variable])
        for name in ("sensible-editor", "nano", "vim", "vi"):
            if shutil.which(name):
                return [name]
        raise TljhError("there is no editor", fix="name one: sudo EDITOR=… tljh-config edit")
