#!/usr/bin/env python3
"""Turn this machine into a JupyterHub: sudo python3 bootstrap.py --admin NAME

It checks the machine, builds the hub's environment next to a running one, and hands over to
`tljh install`. It needs the standard library only. See `bootstrap.py --help` for its options.

This file has two forms. In a checkout it imports tljh_installer/ from its own directory; in a
release (installer/build.py) its last statement carries everything as text. Only that statement
has an effect, so an incomplete download does nothing.
"""

# Old Pythons must be able to print the message about them, so this file must parse on 3.8.
import os
import sys
from pathlib import Path

OLDEST_PYTHON = (3, 10)
EXIT_UNFIT = 3


def refuse_old_python():
    """Print an error and exit with 3 if this Python is too old for the rest."""
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return
    sys.stderr.write(
        "error: Python {}.{} or newer is needed, this is Python {}.{}\n"
        "  at {}\n"
        "  fix: use a distribution that has it: Debian 12 or newer, Ubuntu 22.04 or newer\n".format(
            *OLDEST_PYTHON, *sys.version_info[:2], sys.executable
        )
    )
    sys.exit(EXIT_UNFIT)


def import_from_release(payload):
    """Make the modules in a release importable, without writing a file; return the archive."""
    import base64

    # The first line is a remark that Python quotes in an error message.
    payload = payload.partition("\n")[2]

    descriptor = os.memfd_create("tljh-bootstrap", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as archive:
        archive.write(base64.b64decode("".join(payload.split())))
    path = f"/proc/self/fd/{descriptor}"
    sys.path.insert(0, path)
    return path


def start(payload):
    """Run the installer in `payload`, or that of this checkout if it is empty."""
    refuse_old_python()
    # A checkout may be read-only, and must not change.
    sys.dont_write_bytecode = True
    if payload.partition("\n")[2]:
        archive = import_from_release(payload)
    else:
        archive = None
        here = Path(__file__).resolve().parent
        sys.path[:0] = [str(here), str(here.parent)]
    from tljh_installer.main import main

    sys.exit(main(sys.argv[1:], archive))


if __name__ == "__main__":
    start("""
""")
