"""Groups of config.yaml in the hub's database: exactly these members, and none that was removed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from jupyterhub import orm

from tljh.host.interface import Host


def follow_groups(
    db: Any, host: Host, ledger: Path, groups: Mapping[str, Collection[str]]
) -> list[str]:
    """Remove members and groups that config.yaml had before; return the names of changed groups.

    JupyterHub only ever adds members. `ledger` is the file with the groups that a hub loaded last;
    groups that admins made on the hub's pages are not in it, and stay.
    """
    changed = []
    try:
        before = json.loads(host.read(ledger) or b"[]")
    except ValueError:
        before = []
    for name in before:
        group = orm.Group.find(db, name) if name not in groups else None
        if group is not None:
            db.delete(group)
            changed.append(name)
    for name, members in groups.items():
        group = orm.Group.find(db, name)
        for user in list(group.users) if group is not None else ():
            if user.name not in members:
                group.users.remove(user)
                changed.append(name)
    db.commit()
    if sorted(groups) != before:
        host.write(ledger, json.dumps(sorted(groups)).encode(), mode=0o600)
    return sorted(set(changed))
