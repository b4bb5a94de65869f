"""Client of the hub's REST API, with a service token that is limited to managing users."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from tljh.base.errors import TljhError
from tljh.host.interface import HostReader, Response
from tljh.users.declared_access import HubUser

SERVICE = "tljh"


ROLE = "tljh-users"


SCOPES = ("admin:users", "delete:users", "list:users", "read:users", "servers", "tokens")


PAGE = 200


# Adding a user blocks the hub's event loop for some milliseconds. Between two batches the hub
# answers other requests.
BATCH = 10


# Longer than the hub itself waits for a user's servers to stop (user_actions.STOP_TIMEOUT_S).
STOP_TIMEOUT_S = 30.0


Action = Literal[
    "shut-out", "demote", "end-sessions", "log-out", "stop-servers", "forget", "forget-failures"
]


@dataclass(frozen=True)
class ServerState:
    """Whether a user's server serves, and whether it is about to."""

    is_ready: bool
    is_pending: bool


@dataclass(frozen=True)
class TokenOrder:
    """What a new token is for; without scopes it has all rights of its user."""

    note: str
    valid_s: int
    scopes: Sequence[str] = ()


@dataclass(frozen=True)
class StoredToken:
    """A token as the hub lists it. Times are in UTC, in ISO 8601."""

    owner: str
    id: str
    note: str
    scopes: tuple[str, ...]
    created: str
    last_used: str | None
    expires: str | None


@dataclass(frozen=True)
class NewToken:
    """A new token: the only time when its secret is known."""

    token: str
    stored: StoredToken


@dataclass(frozen=True)
class HubApi:
    """The hub's API at `url`, which ends in /hub/api."""

    host: HostReader
    url: str
    token: str
    page: int = PAGE

    def _send(self, method: str, path: str, body: Any = None, *, timeout_s: float = 10) -> Response:
        return self.host.http(
            method,
            self.url + path,
            timeout_s=timeout_s,
            headers={
                "Authorization": f"token {self.token}",
                "Accept": "application/jupyterhub-pagination+json",
                "Content-Type": "application/json",
            },
            body=None if body is None else json.dumps(body),
        )

    def users(self) -> list[HubUser] | None:
        """Return all users in the hub's database; None if the hub is down or refuses the token."""
        users: list[HubUser] = []
        while True:
            response = self._send("GET", f"/users?offset={len(users)}&limit={self.page}")
            if response.status != 200:
                return None
            try:
                page = json.loads(response.text)
                users += [_parse_user(item) for item in page["items"]]
                has_more = bool(page["_pagination"]["next"])
            except (ValueError, KeyError, TypeError):
                return None
            if not has_more:
                return users

    def add(self, names: Iterable[str]) -> None:
        """Add users to the hub's database; names that it has already are ignored."""
        new_names = sorted(names)
        for start in range(0, len(new_names), BATCH):
            batch = new_names[start : start + BATCH]
            response = self._send("POST", "/users", {"usernames": batch}, timeout_s=30)
            self._expect(response, (201, 409), f"the hub did not add {', '.join(batch)}")

    def start_server(self, name: str) -> None:
        """Start a user's server; returns before it is ready."""
        response = self._send("POST", f"/users/{quote(name)}/server", {}, timeout_s=60)
        self._expect(response, (201, 202), f"the hub did not start the server of {name}")

    def read_server(self, name: str) -> ServerState | None:
        """Return the state of a user's server; None if it neither runs nor starts."""
        response = self._send("GET", f"/users/{quote(name)}")
        self._expect(response, (200,), f"the hub did not answer about {name}")
        server = json.loads(response.text)["servers"].get("")
        if server is None:
            return None
        return ServerState(bool(server.get("ready")), bool(server.get("pending")))

    def make_token(self, name: str) -> str:
        """Return a new token of a user, valid for some minutes."""
        return str(self._post_token(name, TokenOrder("tljh", 600))["token"])

    def create_token(self, name: str, order: TokenOrder) -> NewToken:
        """Return a new token of a user. Raises TljhError with the hub's reason for a refusal."""
        answer = self._post_token(name, order)
        return NewToken(str(answer["token"]), _parse_token(name, answer))

    def _post_token(self, name: str, order: TokenOrder) -> dict[str, Any]:
        body: dict[str, Any] = {"expires_in": order.valid_s, "note": order.note}
        if order.scopes:
            body["scopes"] = list(order.scopes)
        response = self._send("POST", f"/users/{quote(name)}/tokens", body)
        self._expect(response, (201,), f"the hub made no token for {name}")
        answer: dict[str, Any] = json.loads(response.text)
        return answer

    def list_tokens(self, name: str) -> list[StoredToken]:
        """Return the tokens of a user that have not expired, without their secrets."""
        response = self._send("GET", f"/users/{quote(name)}/tokens")
        self._expect(response, (200,), f"the hub did not list the tokens of {name}")
        return [_parse_token(name, item) for item in json.loads(response.text)["api_tokens"]]

    def revoke_token(self, name: str, token_id: str) -> None:
        """Revoke a token of a user; the hub refuses it from now on."""
        response = self._send("DELETE", f"/users/{quote(name)}/tokens/{quote(token_id)}")
        self._expect(response, (204,), f"the hub did not revoke the token {token_id} of {name}")

    def act(self, action: Action, name: str) -> None:
        """Have the hub carry out `action` (shut-out, demote …) on a user; ignore unknown names."""
        response = self._send(
            "POST", f"/tljh/users/{quote(name)}", {"action": action}, timeout_s=STOP_TIMEOUT_S
        )
        self._expect(response, (200, 204), f"the hub's action {action} failed for {name}")

    def _expect(self, response: Response, statuses: tuple[int, ...], problem: str) -> None:
        if response.status in statuses:
            return
        try:
            why = str(json.loads(response.text)["message"])
        except (ValueError, KeyError, TypeError):
            why = response.text[:500] or f"it answered with status {response.status}"
        raise TljhError(problem, why=why, fix="look for the cause in its log: sudo tljh logs hub")


def _parse_token(owner: str, item: dict[str, Any]) -> StoredToken:
    return StoredToken(
        owner=owner,
        id=str(item["id"]),
        note=item.get("note") or "",
        scopes=tuple(item.get("scopes") or ()),
        created=item.get("created") or "",
        last_used=item.get("last_activity"),
        expires=item.get("expires_at"),
    )


def _parse_user(item: dict[str, Any]) -> HubUser:
    return HubUser(
        name=item["name"],
        is_admin=bool(item.get("admin")),
        servers=tuple(
            name
            for name, server in sorted((item.get("servers") or {}).items())
            if server.get("ready") or server.get("pending")
        ),
        groups=tuple(sorted(item.get("groups") or ())),
        created=item.get("created") or "",
        last_activity=item.get("last_activity") or "",
    )
