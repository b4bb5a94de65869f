"""What the hub does to one person when `tljh` asks for it, beyond JupyterHub's own API.

JupyterHub's API cannot take an administrator's rights away on behalf of a service, and deleting
somebody through it deletes the password as well, which a change of lists must not do: lists
are put back.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.roles import assign_default_roles
from jupyterhub.scopes import needs_scope
from jupyterhub.utils import maybe_future, new_token
from tornado import web

from tljh.hub.process.pending_starts import cancel_start

STOP_TIMEOUT_S = 50.0


class PersonHandler(APIHandler):
    """`POST /hub/api/tljh/people/NAME` with an `action`."""

    @needs_scope("admin:users")
    async def post(self, user_name: str) -> None:
        body = self.get_json_body() or {}
        name = self.authenticator.normalize_username(user_name)
        actions = {
            "shut-out": self._shut_out,
            "demote": self._demote,
            "log-out": self._log_out,
            "forget": self._forget,
        }
        action = body.get("action")
        if action == "set-password":
            await self._set_password(name, str(body.get("password", "")))
        elif action in actions:
            await actions[action](name)
        else:
            raise web.HTTPError(400, f"there is no action {action!r}")
        self.set_status(204)

    async def _shut_out(self, name: str) -> None:
        """End every server, session and token, and the right to come back by being known."""
        self.authenticator.allowed_users.discard(name)
        self.authenticator.admin_users.discard(name)
        kept = self._sign_up_of(name)
        if kept is not None:
            # The password stays, for who is listed again.
            kept.is_authorized = False
            self.db.commit()
        user = self.find_user(name)
        if user is None:
            return
        # First, so that nothing is begun while servers end.
        self._end_sessions(user)
        await self._stop_servers(user)
        await user.delete_spawners()
        self.users.delete(user)
        self.log.info("%s was shut out", name)

    async def _demote(self, name: str) -> None:
        self.authenticator.admin_users.discard(name)
        user = self.find_user(name)
        if user is None:
            return
        user.admin = False
        assign_default_roles(self.db, entity=user.orm_user)
        self.db.commit()
        # A running server has the rights that it was started with.
        await self._stop_servers(user)
        self.log.info("%s is no administrator any more", name)

    async def _log_out(self, name: str) -> None:
        user = self.find_user(name)
        if user is None:
            return
        self._end_sessions(user)
        await self._stop_servers(user)

    def _end_sessions(self, user: Any) -> None:
        for token in list(user.api_tokens):
            self.db.delete(token)
        user.orm_user.cookie_id = new_token()
        self.db.commit()

    async def _forget(self, name: str) -> None:
        """Have the authenticator drop what it keeps of a name: its password."""
        listed = self.authenticator.allowed_users & {name}
        await maybe_future(self.authenticator.delete_user(SimpleNamespace(name=name)))
        # Whether somebody may log in is for lists to say.
        self.authenticator.allowed_users |= listed

    async def _set_password(self, name: str, password: str) -> None:
        from tljh.host.password_store import hash_password

        kept = self._sign_up_of(name)
        if kept is None:
            raise web.HTTPError(404, f"the authenticator keeps no password of {name}")
        kept.password = await asyncio.to_thread(hash_password, password)
        self.db.commit()

    def _sign_up_of(self, name: str) -> Any:
        """What native keeps of somebody; None where there is nothing, or no native."""
        if not _has_native_tables(self.db):
            return None
        from nativeauthenticator.orm import UserInfo

        return UserInfo.find(self.db, name)

    async def _stop_servers(self, user: Any) -> None:
        """Stop all of somebody's servers, also those that start, and see them end."""
        end_s = asyncio.get_running_loop().time() + STOP_TIMEOUT_S
        for server_name in list(user.spawners):
            cancel_start(user, server_name)
        for server_name, spawner in list(user.spawners.items()):
            while spawner.active or spawner.pending:
                if spawner.active and not spawner.pending:
                    await self.stop_single_user(user, server_name)
                elif asyncio.get_running_loop().time() > end_s:
                    raise web.HTTPError(504, f"the server of {user.name} does not stop")
                else:
                    await asyncio.sleep(0.1)


def _has_native_tables(db: Any) -> bool:
    from sqlalchemy import inspect

    return bool(inspect(db.get_bind()).has_table("users_info"))


HANDLERS = [(r"/api/tljh/people/([^/]+)", PersonHandler)]
