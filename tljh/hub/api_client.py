"""The hub's own API, as tljh asks it: with a token of its own that may do this and no more."""

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


# The hub answers nobody else while it adds people, some milliseconds each.
BATCH = 10


# Stopping somebody's servers takes as long as their kernels take to end.
STOP_TIMEOUT_S = 60.0


Action = Literal["shut-out", "demote", "log-out", "forget"]


@dataclass(frozen=True)
class HubApi:
    """The API below `url` (which ends in /hub/api)."""

    host: HostReader
    url: str
    token: str
    page: int = PAGE

    def _ask(self, method: str, path: str, body: Any = None, *, timeout_s: float = 10) -> Response:
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
        """Everybody in the hub's database; None while the hub does not answer, or not to us."""
        found: list[HubUser] = []
        while True:
            answer = self._ask("GET", f"/users?offset={len(found)}&limit={self.page}")
            if answer.status != 200:
                return None
            try:
                page = json.loads(answer.text)
                found += [_user(item) for item in page["items"]]
                has_more = bool(page["_pagination"]["next"])
            except (ValueError, KeyError, TypeError):
                return None
            if not has_more:
                return found

    def add(self, names: Iterable[str]) -> None:
        """Add people to the hub's database; fine for those who are there."""
        wanted = sorted(names)
        for start in range(0, len(wanted), BATCH):
            some = wanted[start : start + BATCH]
            answer = self._ask("POST", "/users", {"usernames": some}, timeout_s=30)
            self._expect(answer, (201, 409), f"the hub did not add {', '.join(some)}")

    def act(self, action: Action, name: str) -> None:
        """Do something to one person; fine for somebody the hub does not know."""
        answer = self._ask(
            "POST", f"/tljh/people/{quote(name)}", {"action": action}, timeout_s=STOP_TIMEOUT_S
        )
        self._expect(answer, (200, 204), f"the hub could not do this to {name}: {action}")

    def set_password(self, name: str, password: str) -> None:
        """Give somebody a password, where the authenticator keeps passwords."""
        body = {"action": "set-password", "password": password}
        answer = self._ask("POST", f"/tljh/people/{quote(name)}", body)
        self._expect(answer, (200, 204), f"the hub did not change the password of {name}")

    def _expect(self, answer: Response, statuses: tuple[int, ...], what: str) -> None:
        if answer.status in statuses:
            return
        try:
            why = str(json.loads(answer.text)["message"])
        except (ValueError, KeyError, TypeError):
            why = answer.text[:500] or f"it answered with status {answer.status}"
        raise TljhError(what, why=why, fix="see what the hub says: tljh logs hub")


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
