"""Installing a hub with the bootstrap's answers, or planning it."""

from __future__ import annotations

from dataclasses import dataclass

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import SHORTEST_PASSWORD
from tljh.engine.plan import Plan
from tljh.host.interface import Host, HostReader
from tljh.operations.converge import Outcome, converge, work_out
from tljh.operations.install_and_reload import request_of
from tljh.operations.install_answers import Answers
from tljh.operations.public_address import claim_link, public_url
from tljh.settings.derived import uses_claims
from tljh.users.claims import Claim, claim_file, read_claim
from tljh.users.facts import UserFacts


@dataclass(frozen=True)
class ClaimLink:
    """A claim, and the URL that opens it."""

    claim: Claim
    url: str


@dataclass(frozen=True)
class Installed:
    """An installed hub, and what its admins need to log in.

    `kept_passwords` are admins who keep the password they had, although the answers have another;
    `short_passwords` are admins whose password is shorter than the hub's own pages accept.
    """

    url: str
    admins: tuple[str, ...]
    claims: tuple[ClaimLink, ...]
    is_changed: bool
    kept_passwords: tuple[str, ...] = ()
    short_passwords: tuple[str, ...] = ()


def plan_install(host: HostReader, paths: Paths, answers: Answers) -> Plan:
    """Return the plan of an installation; changes nothing."""
    return work_out(host, paths, request_of(answers, paths)).plan


def install(host: Host, paths: Paths, answers: Answers, progress: Progress) -> Installed:
    """Install the hub, or roll back and raise TljhError."""
    return installed(
        host, paths, answers, converge(host, paths, request_of(answers, paths), progress)
    )


def installed(host: HostReader, paths: Paths, answers: Answers, outcome: Outcome) -> Installed:
    """Describe the hub after an installation with this outcome."""
    config = outcome.config
    with_password = outcome.facts.of(UserFacts).logins_with_password
    claims = []
    for login in config.users.admin if uses_claims(config) else ():
        if login in with_password or login in answers.passwords:
            continue
        claim = read_claim(host.read(claim_file(paths.claims_dir, login)) or b"")
        if claim:
            claims.append(ClaimLink(claim, claim_link(config, host, claim)))
    return Installed(
        url=public_url(config, host),
        admins=tuple(config.users.admin),
        claims=tuple(claims),
        is_changed=outcome.number is not None,
        kept_passwords=tuple(name for name in answers.passwords if name in with_password),
        short_passwords=tuple(
            name
            for name, password in answers.passwords.items()
            if len(password) < SHORTEST_PASSWORD and name not in with_password
        ),
    )
