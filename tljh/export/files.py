"""All files of an export, and what it remembers of the hub, to compare with later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tljh.export.homes import make_home_files, make_hub_files
from tljh.export.image import (
    find_local_packages,
    format_packages,
    format_requirements,
    make_image_files,
)
from tljh.export.mapping import values_of
from tljh.export.people import format_csv, list_homes
from tljh.export.report import CHART, format_report
from tljh.export.values import format_yaml
from tljh.settings.derived import uses_first_use
from tljh.settings.keys import format_key
from tljh.settings.redaction import redact
from tljh.settings.value_changes import flatten

if TYPE_CHECKING:
    from tljh.export.hub_state import ExportedHub

DATABASE = "hub/jupyterhub.sqlite"
PASSWORDS = "hub/passwords.json"
SECRETS = "secrets.yaml"
_PRIVATE = (DATABASE, PASSWORDS, SECRETS, "users.csv", "homes/claims.yaml", "homes/directories.tsv")

_HEADING = "# {what}, for the chart of Zero to JupyterHub {chart}.\n# {more}\n"


@dataclass(frozen=True)
class Environment:
    """The user environment: its lock, what that lacks, and the configuration of servers."""

    lock: str
    warnings: tuple[str, ...] = ()
    jupyter: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Export:
    """The files by name below the directory, and the state of the hub that they are made from."""

    files: Mapping[str, bytes]
    state: Mapping[str, Any]
    decisions: tuple[str, ...]


def get_mode(name: str) -> int:
    """Return the permissions of a file of an export."""
    if name.endswith(".sh"):
        return 0o700
    return 0o600 if name in _PRIVATE else 0o644


def build_export(
    hub: ExportedHub,
    prefix: str,
    environment: Environment,
    database: bytes,
    rows: Mapping[str, Any],
) -> Export:
    """Return the files of an export. `rows` describe the content of the database."""
    values = values_of(hub)
    homes = list_homes(hub)
    packages = format_packages(environment.lock)
    local = find_local_packages(environment.lock)
    if local:
        values.decisions.append(
            f"packages of the image come from files of this machine ({len(local)}, such as "
            f"{local[0]}): put them where the build can fetch them, and correct "
            "image/packages.txt or image/requirements.txt."
        )
    report = format_report(
        hub, values, homes, len(packages.splitlines()) - 1, list(environment.warnings)
    )
    texts = {
        "REPORT.md": report,
        "values.yaml": _format_values(values.plain, "Values", "Secrets are in secrets.yaml."),
        SECRETS: _format_values(values.secret, "Secret values", "Keep it as safe as the hub."),
        "users.csv": format_csv(homes),
        **make_home_files(hub, homes),
        **make_hub_files(hub),
    }
    if uses_first_use(hub.config):
        texts[PASSWORDS] = json.dumps(dict(sorted(hub.passwords.items())), indent=1) + "\n"
    files = {name: text.encode() for name, text in texts.items()}
    files |= make_image_files(hub, prefix, environment.lock, environment.jupyter)
    files[DATABASE] = database
    state = {
        "settings": _flatten_settings(hub),
        "drop-ins": {name: digest(text.encode()) for name, text in hub.drop_ins.items()},
        "packages": _list_packages(environment.lock),
        "homes": {home.person.login: home.person.home for home in homes},
        **rows,
    }
    return Export(files, state, tuple(values.decisions))


def _format_values(tree: dict[str, Any], what: str, more: str) -> str:
    return format_yaml(tree, _HEADING.format(what=what, chart=CHART, more=more))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _flatten_settings(hub: ExportedHub) -> dict[str, Any]:
    """Return the settings of config.yaml by key, secrets masked."""
    declared = redact(hub.config.model_dump(mode="json", exclude_unset=True))
    return {format_key(path): value for path, value in flatten(declared)}


def _list_packages(lock: str) -> dict[str, str]:
    """Return the versions of conda's packages, and pip's, by name."""
    packages = {}
    for address in format_packages(lock).splitlines()[1:]:
        name, version, _ = address.partition("#")[0].rpartition("/")[2].rsplit("-", 2)
        packages[name] = version
    for pin in format_requirements(lock).splitlines():
        name, _, version = pin.partition(" --hash")[0].replace(" @ ", "==").partition("==")
        packages[name] = version
    return packages
