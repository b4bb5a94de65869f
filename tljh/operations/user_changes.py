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
from tljh.hub.user_access import People
from tljh.hub.user_directory import Person, Register, read_register
from tljh.operations.converge import Outcome, converge
from tljh.operations.install_and_reload import request_for
from tljh.operations.installed_config import (
    edited_configuration,
    installed_configuration,
    load_configuration,
)
from tljh.plugins.manager import Contributions

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class HubUsers:
    """The users of an installed hub, with the configuration that lists them."""

    host: Host
    paths: Paths
    config: Config
    register: Register

    def named(self, name: str) -> Person:
        """Return a user. Raises TljhError, with the nearest name, for an unknown one."""
        people = self.register.people
        person = people.get(name.lower()) or people.get(name)
        if person is not None:
            return person
        matches = get_close_matches(name, people, 1)
        raise TljhError(
            f"there is no user {name}",
            why=None if self.register.hub_answers else "the hub does not answer; it may have more",
            fix=f"did you mean {matches[0]}?" if matches else "list all: sudo tljh user list",
        )


def read_users(host: Host, paths: Paths) -> HubUsers:
    """Read the configuration and all users. Raises TljhError if no hub is installed."""
    config = load_configuration(host, paths, installed_configuration(host, paths))
    return HubUsers(host, paths, config, read_register(host, config, paths))


def change_users(
    users: HubUsers,
    command: str,
    edit: Callable[[str], str],
    progress: Progress,
    *,
    removing: Iterable[str] = (),
    more: Sequence[Resource] = (),
) -> Outcome:
    """Edit the text of config.yaml and apply it, as one change that is kept or rolled back.

    `command` is the entry of the history; `more` are further resources of the same change. Users
    in `removing` lose their access even if no list ever named them. Raises TljhError with what
    the edit would make wrong, or why it was rolled back; config.yaml is then as it was.
    """
    host, paths = users.host, users.paths
    removed = frozenset(removing)

    def adjust(
        resources: Sequence[Resource], config: Config, facts: Facts, plugins: Contributions
    ) -> Sequence[Resource]:
        return [
            *(
                replace(resource, removing=removed) if isinstance(resource, People) else resource
                for resource in resources
            ),
            *more,
        ]

    request = replace(
        request_for(host, paths, command),
        # Never written before the engine holds its lock and has its journal: Ctrl-C, a full disk
        # or SIGKILL would leave the edit in config.yaml, and the next reload would apply it.
        configuration=edited_configuration(host, paths, edit, key_path=("users",)),
        adjust=adjust,
    )
    return converge(host, paths, request, progress)
