"""`tljh user claim NAME`: a new link by which an admin sets the first password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from tljh.base.paths import get_paths
from tljh.commands.parameters import Argument
from tljh.host.real import RealHost
from tljh.operations.user_claims import renew_claim
from tljh.users.claims import Claim


@dataclass(frozen=True)
class RenewedClaim:
    """A claim and its link."""

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
        return (
            f"claim link of {self.claim.login}, to set the password once, until {until}:\n"
            f"  {self.link}"
        )


def claim(
    login: Annotated[str, Argument("NAME", "The user's login name.")],
) -> RenewedClaim:
    """Make a new claim link, by which a user sets the first password; older links end."""
    return RenewedClaim(*renew_claim(RealHost(), get_paths(), login.lower()))
