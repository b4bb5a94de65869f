"""`REPORT.md`: what to decide, the steps, and where each setting went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tljh.export.login_rows import PASSWORDS
from tljh.export.mapping import ROWS
from tljh.export.people import ClaimedHome
from tljh.export.row import Row
from tljh.export.values import Values
from tljh.settings.derived import uses_first_use
from tljh.settings.redaction import redact

if TYPE_CHECKING:
    from tljh.export.hub_state import ExportedHub

CHART = "4.4.0"

_HEAD = """\
# The hub as files for Kubernetes

Written by `tljh export z2jh` for version {chart} of the chart of Zero to JupyterHub, which has
JupyterHub 5.5 and KubeSpawner 7: {people}, {packages} packages. Nothing on this machine was
changed. `sudo tljh export z2jh --check DIRECTORY` says what has changed in the hub since.

## Decide first

{decisions}

## Steps

The release of the chart is named `hub` here, and so is its namespace. What you add or change
belongs into an own file such as `site.yaml`, as the last of `--values`: the next export refuses to
replace files that were edited.

1. Build the image of users' servers, and push it to a registry that the cluster can read. Its name
   is `{image}` in values.yaml; for another one, export again with `--image NAME:TAG`.

       docker build --tag {image} image
       docker push {image}

2. Stop users' servers and the hub, so that nothing changes meanwhile, and export again:

       sudo systemctl stop jupyterhub 'jupyter-*.service'

3. Install the chart without an address for users, so that no stranger takes a name before the
   users and passwords are in it:

       helm repo add jupyterhub https://hub.jupyter.org/helm-chart/
       helm upgrade --install hub jupyterhub/jupyterhub --version {chart} \\
         --namespace hub --create-namespace --values values.yaml --values secrets.yaml \\
         --set proxy.service.type=ClusterIP

{database}
5. Copy homes and shared folders into their claims, as root on this machine, with kubectl:

       homes/copy-homes.sh hub

6. Try it from your own computer, at http://localhost:8080: log in, start a server, open a notebook.

       kubectl --namespace hub port-forward service/proxy-public 8080:80

7. Open it to users: the command of step 3 without its last line. Then let the name of the hub lead
   to the address that this prints:

       kubectl --namespace hub get service proxy-public

## What is different for users

- The home is /home/jovyan, not /home/jupyter-NAME: a program with the old path in it, such as an
  environment in the home, has to be made again.
- A pod has no sudo, no cron, no systemd and no SSH; packages for all come with a new image.
- Processes and files in /tmp end with the pod, and a pod may start on another node.
- What pods reserve of memory and processors (guarantee) decides how many of them fit on a node.

"""

_COPY_DATABASE = """\
4. Copy the hub's database{passwords} into its claim, once:

       hub/copy-hub.sh hub
"""
_LOAD_DATABASE = """\
4. Make the new database (see above), and fill it from a pod of the chart's hub:

       kubectl --namespace hub scale deployment hub --replicas=0
       kubectl --namespace hub run load --image=quay.io/jupyterhub/k8s-hub:{chart} \\
         --command -- sleep 3600
       kubectl --namespace hub wait --for=condition=Ready pod/load
       kubectl --namespace hub cp hub/jupyterhub.sqlite load:/tmp/jupyterhub.sqlite
       kubectl --namespace hub cp hub/load_database.py load:/tmp/load_database.py
       kubectl --namespace hub exec -it load -- env {variable}=PASSWORD \\
         python3 /tmp/load_database.py /tmp/jupyterhub.sqlite '{url}'
       kubectl --namespace hub delete pod load
       kubectl --namespace hub scale deployment hub --replicas=1
{more}"""


def format_report(
    hub: ExportedHub, values: Values, homes: list[ClaimedHome], packages: int, notes: list[str]
) -> str:
    """Return the report; `notes` are what the image does not reproduce."""
    decisions = [*values.decisions, *(f"the image lacks something: {note}" for note in notes)]
    head = _HEAD.format(
        chart=CHART,
        people=f"{len(homes)} user" + ("" if len(homes) == 1 else "s"),
        packages=packages,
        image=hub.image,
        decisions="\n".join(f"- {_capitalize(line)}" for line in decisions) or "Nothing.",
        database=_format_database_step(hub, values),
    )
    declared = hub.config.model_dump(exclude_unset=True)
    chosen = [row for row in ROWS if _is_declared(declared, row.key)]
    others = [row for row in ROWS if row not in chosen]
    text = head + "## Settings in config.yaml\n\n" + _format_table(chosen, values)
    text += _format_traits(hub, values)
    text += "\n## Settings with their defaults\n\n" + _format_table(others, values)
    return text


def _format_database_step(hub: ExportedHub, values: Values) -> str:
    has_passwords = uses_first_use(hub.config)
    url = hub.config.database.url
    if url is None:
        passwords = f" and the passwords ({PASSWORDS})" if has_passwords else ""
        return _COPY_DATABASE.format(passwords=passwords)
    more = "\n   Then the passwords: `hub/copy-hub.sh hub`\n" if has_passwords else ""
    variable = "MYSQL_PWD" if hub.config.database.kind == "mysql" else "PGPASSWORD"
    url = values.find("hub.db.url")
    return _LOAD_DATABASE.format(chart=CHART, variable=variable, url=url, more=more)


def _capitalize(text: str) -> str:
    return text[:1].upper() + text[1:]


def _is_declared(tree: Any, key: str) -> bool:
    """Return whether config.yaml has a setting; NAME is any name."""
    for step in key.split("."):
        if not isinstance(tree, Mapping) or not tree:
            return False
        if step in tree:
            tree = tree[step]
        elif step == "NAME":
            tree = _merge_items(tree)
        elif step == "CLASS":
            return any(name[:1].isupper() for name in tree)
        else:
            return False
    return True


def _merge_items(tree: Mapping[str, Any]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for item in tree.values():
        merged |= item if isinstance(item, Mapping) else {}
    return merged


def _format_table(rows: list[Row], values: Values) -> str:
    lines = ["| setting | where it is | what that means |", "| --- | --- | --- |"]
    for row in rows:
        note = "; ".join(filter(None, (row.note, values.notes.get(row.key, ""))))
        lines.append(f"| `{row.key}` | {format_target(row)} | {note} |")
    return "\n".join(lines) + "\n"


def format_target(row: Row) -> str:
    """Return where a setting is, as a cell of a table."""
    return ", ".join(f"`{to.strip('<>')}`" for to in row.to) or "no counterpart"


def _format_traits(hub: ExportedHub, values: Values) -> str:
    """Return the traits of sections of classes that were left out."""
    sections = {**hub.config.auth.classes, **hub.config.traitlets}
    lines = []
    for section, traits in redact(sections).items():
        for trait in traits if isinstance(traits, Mapping) else ():
            reason = values.notes.get(f"{section}.{trait}")
            if reason:
                lines.append(f"| `{section}.{trait}` | {reason} |")
    if not lines:
        return ""
    head = ["\n## Traits that were left out\n", "| trait | why |", "| --- | --- |"]
    return "\n".join([*head, *lines]) + "\n"
