"""Migrates a hub's database, run by the new hub environment.

python -m tljh.hub.process.migrate_database URL
"""

from __future__ import annotations

import logging
import sys

LOG = logging.getLogger("tljh.hub.process.migrate_database")


def main() -> int:
    from jupyterhub.dbutil import upgrade_if_needed

    try:
        # The copy is the caller's business; JupyterHub's own would be one more at each attempt.
        upgrade_if_needed(sys.argv[1], backup=False, log=LOG)
    except Exception as error:
        if hasattr(error, "returncode"):
            # alembic is a program of its own: it has said what is wrong.
            return 1
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
