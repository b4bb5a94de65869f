"""Resources of users: claim links of admins without a password, and folders that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tljh.base.clock import get_utc_time
from tljh.base.paths import Paths
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Directory, File
from tljh.engine.resource import Resource
from tljh.plugins.manager import Contributions
from tljh.settings.derived import uses_claims
from tljh.users.assignment_exchange import build_exchange
from tljh.users.changed_passwords import NativePassword as NativePassword
from tljh.users.changed_passwords import NewPassword as NewPassword
from tljh.users.claims import claim_file, make_claim
from tljh.users.facts import UserFacts

# Not used here: commands make these resources. A rollback finds the class of a change by the
# kind in the journal, and only among imported classes; every command imports this module.
from tljh.users.first_passwords import FirstPasswords as FirstPasswords
from tljh.users.forgotten_passwords import ForgottenPasswords as ForgottenPasswords
from tljh.users.shared_folders import build_shared_folders

if TYPE_CHECKING:
    from tljh.settings.root import Config


def resources(config: Config, facts: Facts, paths: Paths, plugins: Contributions) -> list[Resource]:
    """Return claims for admins without a password, shared folders, and nbgrader's exchange."""
    return [
        Directory(paths.claims_dir, 0o700),
        *(make_claims(paths, facts, config.users.admin) if uses_claims(config) else ()),
        *build_shared_folders({**config.users.shared_folders, **config.presets.course_folders}),
        *build_exchange(config.presets.course_folders),
    ]


def make_claims(
    paths: Paths,
    facts: Facts,
    admins: Iterable[str],
    *,
    renews: bool = False,
    codes: Mapping[str, str] | None = None,
) -> list[Resource]:
    """Return a new claim for each admin who has neither a password nor a claim.

    With `renews` an expired claim counts as none: a link that is printed must open. So does one
    with another token than the code that an admin gave for the name in `codes`.
    """
    users = facts.of(UserFacts)
    codes = codes or {}
    current = get_utc_time()
    claimed = {
        login
        for login, claim in users.claims.items()
        if (not renews or claim.is_valid(current)) and codes.get(login, claim.token) == claim.token
    }
    claims = [
        make_claim(login, code=codes.get(login))
        for login in sorted(admins)
        if login not in users.logins_with_password and login not in claimed
    ]
    return [
        File(claim_file(paths.claims_dir, claim.login), claim.as_bytes(), 0o600, secret=True)
        for claim in claims
    ]
