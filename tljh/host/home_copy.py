"""A copy of a home with everything that its files have, compared before it counts.

tar follows paths, and users can change theirs while root reads: a directory that becomes a link
to /etc would be copied. So tar runs in a mount namespace with nothing but programs, the home and
the copy.
"""

from __future__ import annotations

from pathlib import Path

from tljh.base.errors import TljhError
from tljh.host import compared_trees
from tljh.host.interface import Host

# One home is copied at a time.
UNIT = "tljh-home-copy.service"

# A home of some hundred gigabytes on a slow disk, copied and compared.
COPY_TIMEOUT_S = 12 * 3600.0

# A hole is skipped, not read: a sparse file of terabytes takes no time. Sockets are left out.
_PACK = (
    "tar --create --sparse --acls --xattrs --xattrs-include='*' --one-file-system "
    "--warning=no-file-ignored --directory=/from --file=- ."
)
_UNPACK = (
    "tar --extract --sparse --acls --xattrs --xattrs-include='*' --same-owner --numeric-owner "
    "--preserve-permissions --delay-directory-restore --directory=/to --file=-"
)
# In the namespace: the comparison of this package, which the system's Python runs.
_COMPARE = "/usr/bin/python3 -I /compared_trees.py /from /to"


def copy_home(host: Host, home: Path, copy: Path) -> None:
    """Copy a home, in which nobody writes meanwhile, into the empty directory `copy`.

    `copy` has to be in a directory that only root can enter. Owners, modes, times, ACLs, extended
    attributes, hard links and holes are kept. Raises TljhError with what differs.
    """
    host.flatten(home)
    for what, command in (
        ("copied", f"{_PACK} | {_UNPACK}"),
        ("compared with its copy", _COMPARE),
    ):
        result = host.run(_confine(command, home, copy), timeout_s=COPY_TIMEOUT_S)
        if not result.ok:
            raise TljhError(
                f"{home} could not be {what}",
                why=(result.out + result.err).strip()[-2000:] or None,
                fix="correct the cause above, then run the command again; the home is as it was",
            )


def end_copy(host: Host) -> None:
    """End a copy that a killed command has left running."""
    if host.unit(UNIT).load != "not-found":
        host.systemctl("stop", UNIT)


def _confine(command: str, home: Path, copy: Path) -> list[str]:
    properties = (
        "TemporaryFileSystem=/:ro",
        "BindReadOnlyPaths=/usr -/bin -/lib -/lib64",
        f"BindReadOnlyPaths={_escape(home)}:/from",
        f"BindPaths={_escape(copy)}:/to",
        f"BindReadOnlyPaths={_escape(Path(compared_trees.__file__))}:/compared_trees.py",
        "PrivateNetwork=yes",
        "Nice=5",
    )
    return [
        *("systemd-run", f"--unit={UNIT}", "--wait", "--pipe", "--collect", "--quiet"),
        *(part for each in properties for part in ("-p", each)),
        *("/usr/bin/bash", "-o", "pipefail", "-c", command),
    ]


def _escape(path: Path) -> str:
    """Return a path as systemd's lists of paths need it."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + text.replace(":", "\\:") + '"' if set(' :\\"%') & set(text) else text
