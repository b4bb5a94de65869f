"""Manifests and commands that move homes, shared folders and the hub's files to the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tljh.export.people import ClaimedHome
from tljh.export.server_rows import SHARED, get_folder_claim
from tljh.export.values import format_yaml
from tljh.settings.derived import uses_first_use

if TYPE_CHECKING:
    from tljh.export.hub_state import ExportedHub

# The account of a pod, as the chart has it: singleuser.uid and fsGid. The hub's is 1000, too.
_OWNER = "--owner=1000 --group=100 --numeric-owner"

_COPY_POD = """\
# A pod that has one claim, for as long as files are copied into it.
apiVersion: "v1"
kind: "Pod"
metadata:
  name: "tljh-copy"
spec:
  restartPolicy: "Never"
  containers:
    - name: "copy"
      image: "busybox:stable"
      command: ["sleep", "86400"]
      securityContext:
        runAsUser: 0
      volumeMounts:
        - name: "claim"
          mountPath: "/claim"
  volumes:
    - name: "claim"
      persistentVolumeClaim:
        claimName: "CLAIM"
"""

_FUNCTIONS = """\
# Needs kubectl, set up for the cluster. A second run copies again what has changed meanwhile.
set -euo pipefail
namespace=${{1:?usage: {name} NAMESPACE}}
cd "$(dirname "$(readlink -f "$0")")"

kube() {{
    kubectl --namespace "$namespace" "$@"
}}

# Start a pod that has the claim $1.
open_claim() {{
    kube delete pod tljh-copy --ignore-not-found --wait </dev/null
    sed "s/CLAIM/$1/" ../homes/copy-pod.yaml | kube apply --filename -
    kube wait --for=condition=Ready pod/tljh-copy --timeout=600s </dev/null
}}

# Copy the directory $1 into it; tar's code 1 is a file that changed while it was read.
copy_into_claim() {{
    {{ tar --directory "$1" {owner} --create --file - . || [ $? -eq 1 ]; }} |
        kube exec --stdin tljh-copy -- tar -C /claim -x -p -f -
}}

close_claim() {{
    kube delete pod tljh-copy --wait </dev/null
}}
"""

_COPY_HOMES = """\
#!/bin/bash
# Copy the homes and the shared folders of this machine into their claims. Run it as root.
{functions}
for manifest in claims.yaml shared-folders.yaml; do
    [ ! -e "$manifest" ] || kube apply --filename "$manifest"
done
while IFS=$'\\t' read -r claim directory; do
    if [ ! -d "$directory" ]; then
        echo "missing, left out: $directory" >&2
        continue
    fi
    echo "$directory -> $claim"
    open_claim "$claim"
    copy_into_claim "$directory"
    close_claim
done <directories.tsv
"""

_COPY_HUB = """\
#!/bin/bash
# Copy the hub's database, and passwords where it keeps them, into its claim; the hub is stopped
# meanwhile. Run it once, after the first `helm upgrade --install`.
{functions}
kube scale deployment hub --replicas=0
kube wait --for=delete pod --selector=component=hub --timeout=300s || true
files=$(mktemp --directory)
trap 'rm -rf "$files"' EXIT
{copies}
chmod 0600 "$files"/*
open_claim {claim}
{{ tar --directory "$files" --owner=1000 --group=1000 --numeric-owner --create --file - .; }} |
    kube exec --stdin tljh-copy -- tar -C /claim -x -p -f -
close_claim
kube scale deployment hub --replicas=1
"""


def make_home_files(hub: ExportedHub, homes: list[ClaimedHome]) -> dict[str, str]:
    """Return the files that move homes and shared folders, by name."""
    existing = [home for home in homes if home.person.home]
    directories = [(home.claim, str(home.person.home)) for home in existing]
    folders = list(hub.config.users.shared_folders)
    directories += [(get_folder_claim(name), f"{SHARED}/{name}") for name in folders]
    functions = _FUNCTIONS.format(name="copy-homes.sh", owner=_OWNER)
    files = {
        "homes/copy-pod.yaml": _COPY_POD,
        "homes/copy-homes.sh": _COPY_HOMES.format(functions=functions),
        "homes/directories.tsv": "".join(f"{claim}\t{path}\n" for claim, path in directories),
        "homes/claims.yaml": _format_manifests([_make_home_claim(hub, home) for home in existing]),
    }
    if folders:
        claims = [
            _make_claim(get_folder_claim(name), "10Gi", ["ReadWriteMany"]) for name in folders
        ]
        files["homes/shared-folders.yaml"] = _format_manifests(claims)
    return files


def make_hub_files(hub: ExportedHub) -> dict[str, str]:
    """Return the command that moves the hub's own files, and what it needs."""
    copies = ['install -m 0600 passwords.json "$files/"'] if uses_first_use(hub.config) else []
    claim = "hub-db-dir"
    files = {}
    if hub.config.database.url is None:
        copies.insert(0, 'install -m 0600 jupyterhub.sqlite "$files/"')
    elif copies:
        claim = "hub-passwords"
        files["hub/claims.yaml"] = _format_manifests([_make_claim(claim, "1Gi", ["ReadWriteOnce"])])
        copies.insert(0, "kube apply --filename claims.yaml")
    if copies:
        functions = _FUNCTIONS.format(name="copy-hub.sh", owner=_OWNER)
        script = _COPY_HUB.format(functions=functions, copies="\n".join(copies), claim=claim)
        files["hub/copy-hub.sh"] = script
    if hub.config.database.url is not None:
        files["hub/load_database.py"] = _get_loader()
    return files


def _make_home_claim(hub: ExportedHub, home: ClaimedHome) -> dict[str, Any]:
    modes = ["ReadWriteMany" if hub.config.limits.named_servers else "ReadWriteOnce"]
    claim = _make_claim(home.claim, home.capacity, modes)
    # As KubeSpawner marks its own.
    claim["metadata"]["annotations"] = {"hub.jupyter.org/username": home.person.login}
    claim["metadata"]["labels"] = {
        "app": "jupyterhub",
        "component": "singleuser-storage",
        "hub.jupyter.org/username": home.slug,
    }
    return claim


def _make_claim(name: str, size: str, modes: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": modes, "resources": {"requests": {"storage": size}}},
    }


def _format_manifests(manifests: list[dict[str, Any]]) -> str:
    return format_yaml({"apiVersion": "v1", "kind": "List", "items": manifests}, "")


def _get_loader() -> str:
    """Return the program that fills a database in a pod of the chart's hub."""
    return '''\
"""Fill an empty database with the hub's tables, users, groups, roles and tokens.

python3 load_database.py jupyterhub.sqlite URL

Run it where JupyterHub 5.5 and the database's driver are, such as a pod of the chart's hub; the
password is read from PGPASSWORD or MYSQL_PWD.
"""

import os
import sys

from jupyterhub import orm
from sqlalchemy import MetaData, create_engine, func, insert, inspect, select
from sqlalchemy.engine import make_url


def main(source_file, url):
    password = os.environ.get("MYSQL_PWD") if url.startswith("mysql") else None
    target_url = make_url(url)
    if password and not target_url.password:
        target_url = target_url.set(password=password)
    source, target = create_engine(f"sqlite:///{source_file}"), create_engine(target_url)
    existing = inspect(target).get_table_names()
    if existing:
        sys.exit(f"the database is not empty: {', '.join(existing)}")
    tables = orm.Base.metadata
    more = MetaData()
    for name in inspect(source).get_table_names():
        if name not in tables.tables:
            # alembic_version, and the passwords of NativeAuthenticator.
            more.reflect(source, only=[name])
    with source.connect() as reading, target.begin() as writing:
        for metadata in (tables, more):
            metadata.create_all(writing)
            for table in metadata.sorted_tables:
                copy_table(reading, writing, table)


def copy_table(reading, writing, table):
    rows = [dict(row) for row in reading.execute(select(table)).mappings()]
    if rows:
        writing.execute(insert(table), rows)
    keys = list(table.primary_key.columns)
    if writing.dialect.name == "postgresql" and len(keys) == 1 and keys[0].name == "id":
        # Let it count on from the highest number.
        highest = writing.execute(select(func.max(keys[0]))).scalar()
        sequence = func.pg_get_serial_sequence(table.name, "id")
        writing.execute(select(func.setval(sequence, highest or 1, highest is not None)))
    print(f"{table.name}: {len(rows)} rows")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
'''
