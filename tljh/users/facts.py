"""Facts about users: who has a claim link, who has a password."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.host.password_store import read_hub_admins, read_logins, read_native_sign_ups
from tljh.settings.derived import uses_native
from tljh.users.claims import Claim, claim_file, read_claim
from tljh.users.declared_access import read_listed_before
from tljh.users.effective_lists import EffectiveLists, read_effective

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class UserFacts:
    """Claims by login name, and the names whose password the authenticator keeps.

    `admins` are the admins that the hub knows, wherever their rights came from;
    `first_use_logins` are the names with a password of the first-use authenticator. `running` is
    what the hub loaded last.
    """

    claims: Mapping[str, Claim]
    logins_with_password: frozenset[str]
    admins: frozenset[str] = frozenset()
    first_use_logins: frozenset[str] = frozenset()
    running: EffectiveLists | None = None


def read(host: HostReader, config: Config, paths: Paths) -> UserFacts:
    """Read which users have a claim, and which have a password."""
    claims = {}
    for name in host.listdir(paths.claims_dir):
        claim = read_claim(host.read(paths.claims_dir / name) or b"")
        if claim and claim_file(paths.claims_dir, claim.login).name == name:
            claims[claim.login] = claim
    lists = read_effective(host.read(paths.hub_lists))
    admins = read_hub_admins(paths) | (lists.admins if lists else frozenset())
    return UserFacts(
        claims,
        find_logins_with_password(config, paths),
        admins,
        frozenset(read_logins(paths.passwords)),
        lists,
    )


def find_logins_with_password(config: Config, paths: Paths) -> frozenset[str]:
    """Return the login names with a password; an admin among them needs no claim."""
    if uses_native(config):
        listed = read_listed_before(paths.ledger)
        sign_ups = read_native_sign_ups(paths)
        return frozenset(name for name, is_ours in sign_ups.items() if is_ours or name in listed)
    return frozenset(read_logins(paths.passwords))
