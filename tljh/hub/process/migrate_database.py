"""Migration of a hub's database, run by the Python of the new hub environment.

python -m tljh.hub.process.migrate_database URL
"""

from __future__ import annotations

import logging
import sys

LOG = logging.getLogger("tljh.hub.process.migrate_database")


def main() -> int:
    from jupyterhub.dbutil import upgrade_if_needed
    from sqlalchemy import create_engine

    from tljh.hub.process.database_indexes import drop_indexes

    try:
        drop_indexes(create_engine(sys.argv[1]))
        # No backup by JupyterHub, which would add a file at each attempt: the caller has a copy.
        upgrade_if_needed(sys.argv[1], backup=False, log=LOG)
    except Exception as error:
        if hasattr(error, "returncode"):
            # The program alembic failed, and has printed why. A traceback would hide that.
            return 1
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
