"""Resources of users: claim links of admins without a password, and shared folders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tljh.base.clock import utc_now
from tljh.base.paths import Paths
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Directory, File
from tljh.engine.resource import Resource
from tljh.plugins.manager import Contributions
from tljh.settings.derived import uses_claims
from tljh.users.claims import claim_file, new_claim
from tljh.users.facts import UserFacts
from tljh.users.first_passwords import FirstPasswords as FirstPasswords
from tljh.users.forgotten_passwords import ForgottenPasswords as ForgottenPasswords
from tljh.users.shared_folders import shared_folder_resources

if TYPE_CHECKING:
    from tljh.settings.root import Config


def resources(config: Config, facts: Facts, paths: Paths, plugins: Contributions) -> list[Resource]:
    """Return the directory of claims, new claims, and shared folders."""
    return [
        Directory(paths.claims_dir, 0o700),
        *(new_claims(paths, facts, config.users.admin) if uses_claims(config) else ()),
        *shared_folder_resources(config.users.shared_folders),
    ]


def new_claims(
    paths: Paths, facts: Facts, admins: Iterable[str], *, renews: bool = False
) -> list[Resource]:
    """Return a claim for each admin who has neither a password nor a claim.

    With `renews` an expired claim counts as none: a link that is printed must open.
    """
    users = facts.of(UserFacts)
    current = utc_now()
    claimed = {
        login for login, claim in users.claims.items() if not renews or claim.is_valid(current)
    }
    return [
        File(claim_file(paths.claims_dir, login), new_claim(login).as_bytes(), 0o600, secret=True)
        for login in sorted(admins)
        if login not in users.logins_with_password and login not in claimed
    ]
