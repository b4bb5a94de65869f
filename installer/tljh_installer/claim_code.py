"""The claim code that an admin gives to the bootstrap, in a file.

It takes the place of the random part of a claim link, so that the admin of a cloud machine knows
it without reading the machine's log. Until it is used, it makes everyone who knows it root there.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from tljh.base.errors import Exit, Place, TljhError

SHORTEST = 20
LONGEST = 200
# Fewer different characters are no random code: aaaa…, 1234512345….
FEWEST_DIFFERENT = 8
NEW_CODE = "make one: openssl rand -hex 16 | sudo install -m 600 /dev/stdin {path}"


def read_claim_code(path: Path) -> str:
    """Return the code in a file that only its owner can read. Raises TljhError (usage)."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(LONGEST * 4) if stat.S_ISREG(status.st_mode) else b""
    except FileNotFoundError:
        raise _refusal(path, f"there is no file {path}") from None
    except IsADirectoryError:
        raise _refusal(path, f"{path} is a directory, not a file with a claim code") from None
    except OSError as error:
        raise _refusal(path, f"{path} cannot be read", error.strerror, "run this as root") from None
    if not stat.S_ISREG(status.st_mode):
        raise _refusal(path, f"{path} is no regular file")
    _check_access(path, status)
    return _checked(path, data.decode(errors="replace").strip())


def _check_access(path: Path, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise _refusal(
            path,
            f"other users of this machine can read {path}",
            f"its mode is {mode:04o}, and the claim code makes everyone who knows it an admin",
            f"sudo chmod 600 {path}",
        )
    if status.st_uid not in (0, os.geteuid()):
        raise _refusal(
            path,
            f"{path} belongs to another user",
            "the claim code makes everyone who knows it an admin",
            f"sudo chown root: {path}",
        )


def _checked(path: Path, code: str) -> str:
    if not code:
        raise _refusal(path, f"{path} is empty")
    if "\n" in code:
        raise _refusal(
            path, f"{path} has several lines", "it holds the claim code and nothing else"
        )
    if not re.fullmatch(r"[!-~]+", code):
        raise _refusal(
            path,
            f"the claim code in {path} has spaces, or characters that not every keyboard has",
            "it is a part of a link, and is typed into a form",
        )
    if len(code) < SHORTEST or len(set(code)) < FEWEST_DIFFERENT:
        raise _refusal(
            path,
            f"the claim code in {path} can be guessed",
            f"it needs at least {SHORTEST} characters, {FEWEST_DIFFERENT} of them different",
        )
    if len(code) > LONGEST:
        raise _refusal(path, f"the claim code in {path} has more than {LONGEST} characters")
    return code


def _refusal(path: Path, what: str, why: str | None = None, fix: str | None = None) -> TljhError:
    return TljhError(
        what,
        where=Place("--claim-code-file"),
        why=why,
        fix=fix or NEW_CODE.format(path=path),
        exit_code=Exit.USAGE,
    )
