"""Letting somebody edit a text in the editor of their choice."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tljh.base.errors import Exit, Finding, TljhError


class EditedCopy:
    """A private copy of a file, for the time of an edit. Use it in a `with` statement.

    Whatever ends the edit without saving, what somebody wrote is kept, and the error says where.
    """

    def __init__(self, file: Path, data: bytes, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._file = file
        self._data = data
        # mkdtemp is 0700: what is edited may hold secrets.
        self._directory = Path(tempfile.mkdtemp(prefix="tljh-edit-"))
        self.path = self._directory / file.name
        self.path.write_bytes(data)

    def __enter__(self) -> EditedCopy:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or not self._was_written_to():
            shutil.rmtree(self._directory, ignore_errors=True)
            return
        kept = Finding(
            f"nothing was saved; what you wrote is kept in {self.path}",
            fix=f"mend it there, then: sudo cp {self.path} {self._file} && sudo tljh-config check",
        )
        if isinstance(error, TljhError):
            raise TljhError([*error.findings, kept], exit_code=error.exit_code) from error
        if isinstance(error, KeyboardInterrupt):
            raise TljhError([Finding("interrupted"), kept], exit_code=Exit.INTERRUPTED) from error
        what = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise TljhError([Finding(what[:1].lower() + what[1:]), kept]) from error

    def _was_written_to(self) -> bool:
        try:
            return self.path.read_bytes() != self._data
        except OSError:
            return False

    def edit(self) -> bytes:
        """Open the editor, wait until it is closed, and return what was saved."""
        command = self._editor()
        try:
            done = subprocess.run([*command, str(self.path)], check=False)
        except OSError as error:
            raise TljhError(
                f"the editor {command[0]} cannot be started",
                why=error.strerror,
                fix="name another: sudo EDITOR=nano tljh-config edit",
            ) from error
        if done.returncode != 0:
            raise TljhError(
                f"the editor {command[0]} ended with exit code {done.returncode}",
                why=f"{self._file} is as it was",
            )
        return self.path.read_bytes()

    def _editor(self) -> list[str]:
        for variable in ("VISUAL", "EDITOR"):
            named = self._environ.get(variable, "").strip()
            try:
                if named:
                    return shlex.split(named)
            except ValueError as error:
                raise TljhError(
                    f"{variable} is no command line: {named}",
                    why=str(error).lower(),
                    fix="name another: sudo EDITOR=nano tljh-config edit",
                ) from error
        for name in ("sensible-editor", "nano", "vim", "vi"):
            if shutil.which(name):
                return [name]
        raise TljhError("there is no editor", fix="name one: sudo EDITOR=… tljh-config edit")
