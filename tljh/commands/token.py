"""`tljh token create`, `list`, `revoke`: tokens of users for the hub's API."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tljh.base.paths import get_paths
from tljh.commands.parameters import Argument, NameArgument, Option, Summary
from tljh.host.real import RealHost
from tljh.hub.api_client import NewToken, StoredToken, TokenOrder
from tljh.operations import tokens


@dataclass(frozen=True)
class CreatedToken:
    """A new token; as text it is the only thing on standard output."""

    new: NewToken

    @property
    def notes(self) -> list[str]:
        stored = self.new.stored
        return [
            f"token {stored.id} of {stored.owner}, until {_format_time(stored.expires)}; "
            "it is not shown again"
        ]

    def as_text(self) -> str:
        return self.new.token

    def as_json(self) -> dict[str, Any]:
        return {"token": self.new.token, **asdict(self.new.stored)}


@dataclass(frozen=True)
class TokenList:
    """Tokens, without their secrets."""

    tokens: tuple[StoredToken, ...]

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(token) for token in self.tokens]

    def as_text(self) -> str:
        if not self.tokens:
            return "there are no tokens; to make one: sudo tljh token create NAME"
        return "\n".join(
            f"{token.owner}  {token.id}  until {_format_time(token.expires)}, last used "
            f"{_format_time(token.last_used)}  {token.note}\n    {' '.join(token.scopes)}"
            for token in self.tokens
        )


def _format_time(time: str | None) -> str:
    return time[:16].replace("T", " ") + " UTC" if time else "never"


def create(
    name: NameArgument,
    *,
    scopes: Annotated[
        str, Option("--scopes", "What it may do, separated by commas; all of the user's.", "SCOPES")
    ] = "",
    expires: Annotated[
        str, Option("--expires", "For how long it is valid, such as 12h or 30d.", "TIME")
    ] = "",
    note: Annotated[str, Option("--note", "What it is for.", "TEXT")] = "tljh token create",
) -> CreatedToken:
    """Make a token of a user for the hub's API, and print it."""
    host, paths = RealHost(), get_paths()
    validity_s = tokens.choose_validity(tokens.read_config(host, paths), expires)
    order = TokenOrder(note, validity_s, tokens.parse_scopes(scopes))
    return CreatedToken(tokens.create_token(tokens.open_api(host, paths), name, order))


def list_tokens(
    name: Annotated[str | None, Argument("NAME", "A login name; without it, all users.")] = None,
) -> TokenList:
    """List tokens for the hub's API, without their secrets."""
    return TokenList(tuple(tokens.list_tokens(tokens.open_api(RealHost(), get_paths()), name)))


def revoke(
    name: NameArgument,
    token_id: Annotated[str, Argument("ID", "Its id in tljh token list.")],
) -> Summary:
    """Revoke a token: the hub refuses it from now on."""
    token = tokens.revoke_token(tokens.open_api(RealHost(), get_paths()), name, token_id)
    line = f"the token {token.id} of {token.owner} is revoked"
    return Summary((line,), {"revoked": token.id, "owner": token.owner})
