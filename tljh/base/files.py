"""Reading of configuration files by a caller who may lack the right to."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path

from tljh.base.errors import TljhError


def read_file(path: Path) -> bytes:
    """Return the bytes of a configuration file; empty if it is missing.

    Raises TljhError with the command to repeat under sudo when the caller may not read it.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except PermissionError:
        raise make_permission_error(path) from None
    except OSError as error:
        raise TljhError(f"{path} cannot be read", why=error.strerror) from error


def edit_lock(file: Path) -> Path:
    """Return the path of the lock file that every program holds while it edits `file`.

    `file` must not be a symbolic link: two links to one file would have two locks.
    """
    return file.with_name(f".{file.name}.lock")


def make_permission_error(path: Path) -> TljhError:
    """Return the error for a caller who is not root, with this command under sudo as the fix."""
    import shlex

    program = Path(sys.argv[0]).name
    command = shlex.join([program, *sys.argv[1:]])
    fix = f"sudo {command}" if program.startswith("tljh") else "run it with sudo"
    return TljhError(f"only root can read {path}", fix=fix)


# The byte order marks by which editors, shells and spreadsheets of Windows begin a file; UTF-8's
# comes last, and is removed by its codec.
_ENCODINGS = (
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def decode_text(data: bytes) -> str:
    """Return the text of a file that was saved in UTF-8 or UTF-16, on whatever system.

    Raises UnicodeDecodeError for another encoding.
    """
    encoding = next((name for mark, name in _ENCODINGS if data.startswith(mark)), "utf-8")
    return data.decode(encoding)
