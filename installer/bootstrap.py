#!/usr/bin/env python3
"""Turn this machine into a JupyterHub: sudo python3 bootstrap.py --admin NAME

Checks the machine, builds the hub's own environment beside whatever runs, and hands over to
`tljh install`. The standard library is all it needs. `bootstrap.py --help` tells the rest.

This file works in two forms. In a checkout it finds tljh_installer/ beside itself; in a
release (installer/build.py) the last statement carries everything as text. Only that last
statement has an effect, so a download that was cut off anywhere does nothing at all.
"""

# Old Pythons have to get as far as the message about them: nothing newer than 3.8 in here.
import os
import sys
from pathlib import Path

OLDEST_PYTHON = (3, 10)
EXIT_UNFIT = 3


def refuse_old_python():
    """Say what is needed and leave, where this Python is too old for the rest."""
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
    """Make the modules that a release carries importable, without writing to any disk."""
    import base64

    # The first line is a remark for whoever sees it in an error message.
    payload = payload.partition("\n")[2]

    descriptor = os.memfd_create("tljh-bootstrap", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as archive:
        archive.write(base64.b64decode("".join(payload.split())))
    path = f"/proc/self/fd/{descriptor}"
    sys.path.insert(0, path)
    return path


def start(payload):
    """Run the installer: the one in `payload`, or that of this checkout where it is empty."""
    refuse_old_python()
    # A checkout may be read-only, and is left as it was found.
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
