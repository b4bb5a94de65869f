"""Reading files for somebody who may not be root."""

from __future__ import annotations

import sys
from pathlib import Path

from tljh.base.errors import TljhError


def read_file(path: Path) -> bytes:
    """The bytes of a configuration file, none where it is missing.

    Raises TljhError with the sudo line when the reader lacks the right.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except PermissionError:
        raise not_permitted(path) from None
    except OSError as error:
        raise TljhError(f"{path} cannot be read", why=error.strerror) from error


def edit_lock(file: Path) -> Path:
    """The lock of whoever edits a file; links are followed by the caller."""
    return file.with_name(f".{file.name}.lock")


def not_permitted(path: Path) -> TljhError:
    """What to say to somebody who is not root."""
    import shlex

    program = Path(sys.argv[0]).name
    command = shlex.join([program, *sys.argv[1:]])
    fix = f"sudo {command}" if program.startswith("tljh") else "run it with sudo"
    return TljhError(f"only root can read {path}", fix=fix)
