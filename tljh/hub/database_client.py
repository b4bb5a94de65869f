"""The hub's database by way of a hub environment, whose Python has the driver.

The command that runs may be of another environment, which lacks it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tljh.base.errors import TljhError
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.host.interface import DIES_WITH_US, HostReader
from tljh.settings.database_address import DatabaseAddress

WORKER = "tljh.hub.process.database_worker"
PROBE_TIMEOUT_S = 20.0

# 10,000 users take 3 s, from any kind of database to any other.
COPY_TIMEOUT_S = 900.0


class DatabaseAway(TljhError):
    """The database could not be reached, or refused what was asked."""


def ask_database(
    host: HostReader,
    environment: Path,
    action: str,
    target: DatabaseAddress,
    *,
    source: DatabaseAddress | None = None,
    timeout_s: float = PROBE_TIMEOUT_S,
) -> dict[str, Any]:
    """Have the worker of a hub environment do one thing; return its answer.

    Raises DatabaseAway with the words of the database.
    """
    files = HubEnvironmentFiles(environment)
    order = {"action": action, "target": target.as_order()}
    if source is not None:
        order["source"] = source.as_order()
    result = host.query(
        [*DIES_WITH_US, str(files.python), "-I", "-m", WORKER],
        timeout_s=timeout_s,
        # Migrations run the program alembic, which is looked up in PATH.
        env={"PATH": f"{files.bin_dir}:{os.environ.get('PATH', os.defpath)}"},
        stdin=json.dumps(order),
    )
    try:
        answer = dict(json.loads(result.out.strip().splitlines()[-1]))
    except (ValueError, IndexError):
        answer = {"problem": (result.err or result.out).strip()[-1500:] or f"exit {result.code}"}
    if "problem" in answer:
        raise DatabaseAway(
            f"the database cannot be used: {target}",
            why=str(answer["problem"]),
            fix="check that the server runs and lets this machine in: sudo tljh db check",
        )
    return dict(answer["result"])


def require_private_password(host: HostReader, address: DatabaseAddress) -> None:
    """Raise TljhError if the file with the password is missing, or others can read it."""
    if address.password_file is None:
        return
    info = host.info(Path(address.password_file), follow=True)
    if info is None or info.kind != "file":
        raise TljhError(
            f"database.password_file does not exist: {address.password_file}",
            fix="write the password into it, and nothing else; it has to be root's, of mode 0600",
        )
    if info.mode & 0o077 or info.owner != "root":
        raise TljhError(
            f"database.password_file can be read by other users: {address.password_file}",
            why=f"it is {info.owner}'s, of mode {info.mode:04o}",
            fix="make it root's, of mode 0600: sudo chown root FILE; sudo chmod 600 FILE",
        )
