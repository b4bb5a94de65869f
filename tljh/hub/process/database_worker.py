"""Work on the hub's database, run by the Python of a hub environment, which has its driver.

python -m tljh.hub.process.database_worker < ORDER

The order is JSON, `{"action": …, "source": …, "target": …}`; a database is `{"url": …}`, with
`password_file` where it needs a password. The last line of the output is the answer, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import DBAPIError

from tljh.hub.process.database_connections import describe, use_password
from tljh.hub.process.database_copy import copy_rows
from tljh.hub.process.database_indexes import drop_indexes
from tljh.hub.process.database_tables import Database, clear, find_obstacles, probe, read_revision

Answer = dict[str, Any]


def _probe(order: Answer) -> Answer:
    with Database.of(order["target"]) as target:
        return probe(target)


def _check(order: Answer) -> Answer:
    """Return what of the source the target cannot hold, and what the target is."""
    with Database.of(order["source"]) as source, Database.of(order["target"]) as target:
        return {
            "source": probe(source),
            "target": probe(target),
            "obstacles": find_obstacles(source, target.kind),
        }


def _check_source(order: Answer) -> Answer:
    """Return what of the source cannot be in a database that is yet to be made."""
    from sqlalchemy.engine import make_url

    kind = make_url(order["target"]["url"]).get_backend_name()
    with Database.of(order["source"]) as source:
        return {"source": probe(source), "obstacles": find_obstacles(source, kind)}


def _read_revision(order: Answer) -> Answer:
    with Database.of(order["target"]) as target, target.engine.connect() as connection:
        return {"revision": read_revision(connection)}


def _copy(order: Answer) -> Answer:
    with Database.of(order["source"]) as source, Database.of(order["target"]) as target:
        return {"rows": copy_rows(source, target)}


def _clear(order: Answer) -> Answer:
    with Database.of(order["target"]) as target:
        clear(target)
    return {}


def _migrate(order: Answer) -> Answer:
    from alembic import command
    from alembic.config import Config
    from jupyterhub.dbutil import _temp_alembic_ini

    place = order["target"]
    with Database.of(place) as target:
        drop_indexes(target.engine)
    # In this process, unlike JupyterHub's own way: so the password is in no temporary file.
    use_password(place.get("password_file"))
    with _temp_alembic_ini(place["url"]) as file:
        command.upgrade(Config(file), "head")
    return {}


ACTIONS: dict[str, Callable[[Answer], Answer]] = {
    "probe": _probe,
    "revision": _read_revision,
    "check": _check,
    "check-source": _check_source,
    "copy": _copy,
    "clear": _clear,
    "migrate": _migrate,
}


def main() -> int:
    # A copy in a file has tokens and passwords.
    os.umask(0o077)
    order = json.load(sys.stdin)
    try:
        answer: Answer = {"result": ACTIONS[order["action"]](order)}
    except DBAPIError as error:
        answer = {"problem": describe(error)}
    except ModuleNotFoundError as error:
        answer = {"problem": f"this hub environment has no {error.name}", "lacks": error.name}
    except (OSError, ValueError) as error:
        answer = {"problem": str(error)}
    print(json.dumps(answer))
    return 0 if "result" in answer else 1


if __name__ == "__main__":
    sys.exit(main())
