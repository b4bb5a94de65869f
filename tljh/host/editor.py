"""Editing of a file in the admin's editor."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from tljh.base.errors import Finding, TljhError
from tljh.base.interruptions import exit_code_of


class EditedCopy:
    """A private copy of a file during an edit. Use it in a `with` statement.

    If the block fails after the admin changed the copy, the copy is kept and the error names it.
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
        kept_copy = Finding(
            f"nothing was saved; your text is kept in {self.path}",
            fix=f"correct it there, then: sudo cp {quote(str(self.path))} {quote(str(self._file))} "
            "&& sudo tljh-config check",
        )
        if isinstance(error, TljhError):
            raise TljhError([*error.findings, kept_copy], exit_code=error.exit_code) from error
        if isinstance(error, KeyboardInterrupt):
            raise TljhError(
                [Finding("interrupted"), kept_copy], exit_code=exit_code_of(error)
            ) from error
        what = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
        raise TljhError([Finding(what[:1].lower() + what[1:]), kept_copy]) from error

    def _was_written_to(self) -> bool:
        try:
            return self.path.read_bytes() != self._data
        except OSError:
            return False

    def edit(self) -> bytes:
        """Open the editor, wait until it ends, and return the saved text."""
        command = self._editor()
        try:
            result = subprocess.run([*command, str(self.path)], check=False)
        except OSError as error:
            raise TljhError(
                f"the editor {command[0]} cannot be started",
                why=error.strerror,
                fix="use another: sudo EDITOR=nano tljh-config edit",
            ) from error
        if result.returncode != 0:
            raise TljhError(
                f"the editor {command[0]} ended with exit code {result.returncode}",
                why=f"so {self._file} was not changed",
            )
        return self.path.read_bytes()

    def _editor(self) -> list[str]:
        for variable in ("VISUAL", "EDITOR"):
            command = self._environ.get(variable, "").strip()
            try:
                if command:
                    return shlex.split(command)
            except ValueError as error:
                raise TljhError(
                    f"{variable} is not a valid command line: {command}",
                    why=str(error).lower(),
                    fix="use another: sudo EDITOR=nano tljh-config edit",
                ) from error
        for name in ("sensible-editor", "nano", "vim", "vi"):
            if shutil.which(name):
                return [name]
        raise TljhError("no editor was found", fix="install one: sudo apt-get install nano")
