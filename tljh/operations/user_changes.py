"""User changes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.paths import PASSWORDS, Paths, paths_from_environment
from tljh.base.progress import progress_for
from tljh.engine.facts import Facts
from tljh.engine.resource import Resource
from tljh.host.password_store import hash_password
from tljh.host.real import RealHost
from tljh.hub.user_access import People
from tljh.hub.user_directory import Person, Register, read_register
from tljh.operations.converge import Outcome, converge
from tljh.operations.install_and_reload import request_for
from tljh.operations.installed_config import configuration_bytes, installed_file, load_configuration
from tljh.plugins.manager import Contributions
from tljh.settings.derived import uses_first_use, uses_native
from tljh.users.first_passwords import FirstPasswords

if TYPE_CHECKING:
    from tljh.settings.root import Config


def change_lists(
    command: str,
    edit: Callable[[str], str],
    *,
    removing: Iterable[str] = (),
    passwords: Sequence[Resource] = (),
    as_json: bool = False,
) -> Outcome:
    """Edit config.yaml and apply it; when that fails, the file is put back as well."""
    file = installed_file()
    changed = file.change(edit, key_path=("users",))
    from tljh.base.paths import paths_from_environment

    paths, host = paths_from_environment(), RealHost()
    request = request_for(host, paths, command)
    removed = frozenset(removing)

    def adjust(
        resources: Sequence[Resource], config: Config, facts: Facts, plugins: Contributions
    ) -> Sequence[Resource]:
        return [
            *(
                replace(resource, removing=removed) if isinstance(resource, People) else resource
                for resource in resources
            ),
            *passwords,
        ]

    request = replace(request, adjust=adjust)
    try:
        return converge(host, paths, request, progress_for(sys.stderr, silent=as_json))
    except TljhError:
        if changed.is_change:
            with contextlib.suppress(TljhError):
                file.replace(changed.after.encode(), changed.before.encode())
        raise


def first_passwords(config: Config, paths: Paths, given: dict[str, str]) -> list[FirstPasswords]:
    """First passwords as resources. Raises TljhError where the authenticator keeps none there."""
    if given and not uses_first_use(config):
        raise keeps_no_passwords(config)
    hashes = {name: hash_password(password) for name, password in given.items()}
    return [FirstPasswords(paths.state_dir / PASSWORDS, hashes)] if hashes else []


def keeps_no_passwords(config: Config) -> TljhError:
    if uses_native(config):
        return TljhError(
            "native takes no first password from here",
            why="people choose theirs when they sign up, and keep it from then on",
            fix=f"send them to {config.base_url}hub/signup; a forgotten one can be reset",
        )
    return TljhError(
        f"auth.type {config.auth.type} keeps no passwords on this machine",
        why="people log in with what they have elsewhere",
        fix="change the password where it is kept",
    )


def everybody() -> tuple[RealHost, Paths, Config, Register]:
    """What all commands about people begin with."""
    paths, host = paths_from_environment(), RealHost()
    config = load_configuration(host, paths, configuration_bytes(host, paths))
    return host, paths, config, read_register(host, config, paths)


def person_named(register: Register, name: str) -> Person:
    """Raises TljhError, with the nearest name, for somebody nobody knows."""
    found = register.people.get(name.lower()) or register.people.get(name)
    if found is not None:
        return found
    near = get_close_matches(name, register.people, 1)
    raise TljhError(
        f"there is nobody called {name}",
        why=None if register.hub_answers else "the hub does not answer, so its people are unknown",
        fix=f"did you mean {near[0]}?" if near else "see who there is: sudo tljh user list",
    )
