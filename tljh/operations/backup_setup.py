"""The change that sets the place of backups."""

from __future__ import annotations

from collections.abc import Mapping

from tljh.base.paths import Paths
from tljh.host.interface import Host
from tljh.operations.converge import Request
from tljh.operations.installed_config import edit_configuration
from tljh.settings.yaml_edit import set_value

REPOSITORY = ("backup", "repository")


def make_setup_request(
    host: Host, paths: Paths, repository: str, variables: Mapping[str, str] | None
) -> Request:
    """Return the request that sets repository and, unless None, credentials."""

    def edit(text: str) -> str:
        text = set_value(text, REPOSITORY, repository)
        if variables is not None:
            text = set_value(text, ("backup", "secrets"), dict(variables))
        return text

    return Request(
        command="backup setup",
        configuration=edit_configuration(host, paths, edit, key_path=REPOSITORY),
    )
