"""The one way in which commands change the lists of users: edit config.yaml and apply it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.facts import Facts
from tljh.engine.resource import Resource
from tljh.host.interface import Host
from tljh.hub.user_access import UserAccess
from tljh.hub.user_directory import UserDirectory, UserRecord, read_user_directory
from tljh.operations.converge import Outcome, converge
from tljh.operations.install_and_reload import make_reload_request
from tljh.operations.installed_config import (
    edit_configuration,
    load_configuration,
    read_installed_configuration,
)
from tljh.plugins.manager import Contributions
from tljh.users.claims import claim_file
from tljh.users.first_passwords import FirstPasswords

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class HubUsers:
    """The users of an installed hub, with the configuration that lists them."""

    host: Host
    paths: Paths
    config: Config
    directory: UserDirectory

    def named(self, name: str) -> UserRecord:
        """Return the user with a name. Raises TljhError if unknown, with the nearest name."""
        users = self.directory.users
        user = users.get(name.lower()) or users.get(name)
        if user is not None:
            return user
        matches = get_close_matches(name, users, 1)
        raise TljhError(
            f"there is no user {name}",
            why=None if self.directory.hub_answers else "the hub does not answer; it may have more",
            fix=f"did you mean {matches[0]}?" if matches else "list all: sudo tljh user list",
        )


def read_users(host: Host, paths: Paths) -> HubUsers:
    """Read the configuration and all users. Raises TljhError if no hub is installed."""
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    return HubUsers(host, paths, config, read_user_directory(host, config, paths))


def change_users(
    users: HubUsers,
    command: str,
    edit: Callable[[str], str],
    progress: Progress,
    *,
    removing: Iterable[str] = (),
    more: Sequence[Resource] = (),
) -> Outcome:
    """Edit config.yaml's lists and apply them, as one change that is kept or rolled back.

    `edit` maps the text of the file to the new one. `command` is shown in the history; `more` are
    further resources of the same change. Users in `removing` lose their access even if no list ever
    named them. Raises TljhError with what the edit would make wrong, or why it was rolled back;
    config.yaml is then as it was.
    """
    host, paths = users.host, users.paths
    removed = frozenset(removing)
    # An admin who gets a password by this change needs no claim link.
    needless = {
        f"file {claim_file(paths.claims_dir, login)}"
        for resource in more
        if isinstance(resource, FirstPasswords)
        for login in resource.hashes
    }

    def adjust(
        resources: Sequence[Resource], config: Config, facts: Facts, plugins: Contributions
    ) -> Sequence[Resource]:
        return [
            *(
                replace(resource, removing=removed)
                if isinstance(resource, UserAccess)
                else resource
                for resource in resources
                if resource.key not in needless
            ),
            *more,
        ]

    request = replace(
        make_reload_request(host, paths, command),
        # Never written before the engine holds its lock and has its journal: Ctrl-C, a full disk
        # or SIGKILL would leave the edit in config.yaml, and the next reload would apply it.
        configuration=edit_configuration(host, paths, edit, key_path=("users",)),
        adjust=adjust,
    )
    return converge(host, paths, request, progress)
