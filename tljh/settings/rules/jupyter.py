"""Settings of Jupyter that would leave users without the page that opens after login."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING

from tljh.settings.declaration import Problem
from tljh.settings.keys import format_key
from tljh.settings.sections.user_environment import SERVED_BY

if TYPE_CHECKING:
    from tljh.settings.root import Config


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Yield a problem for each disabled server extension that a user's server needs."""
    settings = config.user_environment
    opened = next((app for app in SERVED_BY if settings.default_url.startswith(app)), None)
    for module, is_on in settings.server_extensions.items():
        path = ("user_environment", "server_extensions", module)
        if is_on:
            continue
        if module.partition(".")[0] == "jupyterhub":
            yield Problem(
                path,
                f"the server extension {module} cannot be disabled",
                why="it checks that a server is opened by its owner only",
                fix=f"sudo tljh-config unset {quote(format_key(path))}",
            )
        elif opened is not None and module == SERVED_BY[opened]:
            yield Problem(
                path,
                f"the server extension {module} is off, and {settings.default_app} needs it",
                why="no page would open after login: user_environment.default_app names it",
                fix=f"sudo tljh-config unset {quote(format_key(path))}",
            )
