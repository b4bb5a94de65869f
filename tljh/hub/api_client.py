"""Client of the hub's REST API, with a service token that is limited to managing users."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from tljh.base.errors import TljhError
from tljh.host.interface import HostReader, Response
from tljh.users.declared_access import HubUser

SERVICE = "tljh"


ROLE = "tljh-people"


SCOPES = ("admin:users", "delete:users", "list:users", "read:users", "servers", "tokens")


PAGE = 200


# Adding a user blocks the hub's event loop for some milliseconds. Between two batches the hub
# answers other requests.
BATCH = 10


# Longer than the hub itself waits for a user's servers to stop (user_actions.STOP_TIMEOUT_S).
STOP_TIMEOUT_S = 30.0


Action = Literal["shut-out", "demote", "log-out", "forget"]


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
                users += [_user(item) for item in page["items"]]
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

    def act(self, action: Action, name: str) -> None:
        """Run an action of `user_actions` on one user; a name unknown to the hub is ignored."""
        response = self._send(
            "POST", f"/tljh/people/{quote(name)}", {"action": action}, timeout_s=STOP_TIMEOUT_S
        )
        self._expect(response, (200, 204), f"the hub's action {action} failed for {name}")

    def set_password(self, name: str, password: str) -> None:
        """Set a user's password. Raises TljhError if the authenticator keeps none for that name."""
        body = {"action": "set-password", "password": password}
        response = self._send("POST", f"/tljh/people/{quote(name)}", body)
        self._expect(response, (200, 204), f"the hub did not change the password of {name}")

    def _expect(self, response: Response, statuses: tuple[int, ...], problem: str) -> None:
        if response.status in statuses:
            return
        try:
            why = str(json.loads(response.text)["message"])
        except (ValueError, KeyError, TypeError):
            why = response.text[:500] or f"it answered with status {response.status}"
        raise TljhError(problem, why=why, fix="look for the cause in its log: sudo tljh logs hub")


def _user(item: dict[str, Any]) -> HubUser:
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
