"""`tljh user claim NAME`: a new link by which an administrator sets a first password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from tljh.base.errors import TljhError
from tljh.base.paths import paths_from_environment
from tljh.commands.parameters import Argument
from tljh.host.real import RealHost
from tljh.operations.converge import LOCK_TIMEOUT_S
from tljh.operations.installed_config import configuration_bytes, load_configuration
from tljh.operations.public_address import public_url
from tljh.settings.derived import uses_claims
from tljh.users.claims import Claim, claim_file, new_claim
from tljh.users.facts import logins_with_password

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class Claimed:
    """A claim and the link that redeems it."""

    claim: Claim
    link: str

    def as_json(self) -> dict[str, Any]:
        return {
            "login": self.claim.login,
            "link": self.link,
            "expires": self.claim.expires.isoformat(timespec="seconds"),
        }

    def as_text(self) -> str:
        until = self.claim.expires.strftime("%Y-%m-%d %H:%M UTC")
        return f"{self.claim.login} sets a password here, once, until {until}:\n  {self.link}"


def claim(
    login: Annotated[str, Argument("NAME", "An administrator's login name.")],
) -> Claimed:
    """Make a new link by which an administrator sets a first password; older ones end."""
    paths, host = paths_from_environment(), RealHost()
    login = login.lower()
    config = load_configuration(host, paths, configuration_bytes(host, paths))
    _refuse(login, config, login in logins_with_password(config, paths))
    made = new_claim(login)
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        host.write(claim_file(paths.state_dir, login), made.as_bytes(), mode=0o600)
    url = public_url(config, host)
    return Claimed(made, url.removesuffix(config.base_url) + made.path(config.base_url))


def _refuse(login: str, config: Config, has_one: bool) -> None:
    if not uses_claims(config):
        raise TljhError(
            f"there are no claims while auth.type is {config.auth.type}",
            why="it keeps no passwords here",
            fix=f"{login} logs in as {config.auth.type} asks for",
        )
    if login not in config.users.admin:
        raise TljhError(
            f"{login} is not an administrator, so there is nothing to claim",
            why="other names set their password at their first login, once they are added",
            fix=f"sudo tljh-config add-item users.admin {login} && sudo tljh-config reload",
        )
    if has_one:
        raise TljhError(
            f"{login} has a password already",
            why="a claim sets the first one only",
            fix=f"log in with it; if it is forgotten: sudo tljh user reset-password {login}",
        )
