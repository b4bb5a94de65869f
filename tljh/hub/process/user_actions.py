"""Actions on one user that tljh needs in addition to JupyterHub's REST API.

In JupyterHub's API a service cannot end a user's admin rights, and deleting a user deletes the
password, too. A change of lists must keep the password, because a rollback restores the lists and
the user has to be able to log in as before.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.roles import assign_default_roles
from jupyterhub.scopes import needs_scope
from jupyterhub.utils import maybe_future
from tornado import web

from tljh.hub.process.login_guard import LoginGuardMixin
from tljh.hub.process.pending_starts import cancel_start
from tljh.hub.process.sessions import end_sessions

# Short, because a user's program decides how long its server takes. tljh stops the unit through
# systemd in any case.
STOP_TIMEOUT_S = 10.0


class UserActionHandler(APIHandler):
    """`POST /hub/api/tljh/users/NAME` with an `action` in its JSON body."""

    @needs_scope("admin:users")
    async def post(self, user_name: str) -> None:
        body = self.get_json_body() or {}
        name = self.authenticator.normalize_username(user_name)
        actions = {
            "shut-out": self._shut_out,
            "demote": self._demote,
            "end-sessions": self._end_sessions,
            "log-out": self._log_out,
            "stop-servers": self._stop_servers,
            "forget": self._forget,
            "forget-failures": self._forget_failures,
        }
        action = body.get("action")
        if action not in actions:
            raise web.HTTPError(400, f"there is no action {action!r}")
        await actions[action](name)
        self.set_status(204)

    async def _shut_out(self, name: str) -> None:
        await shut_out(self, name)

    async def _demote(self, name: str) -> None:
        self.authenticator.admin_users.discard(name)
        user = self.find_user(name)
        if user is None:
            return
        user.admin = False
        assign_default_roles(self.db, entity=user.orm_user)
        self.db.commit()
        # A running server keeps the rights that it was started with, sudo for example.
        await stop_servers(self, user)
        self.log.info("%s is no longer an admin", name)

    async def _stop_servers(self, name: str) -> None:
        user = self.find_user(name)
        if user is not None:
            await stop_servers(self, user)

    async def _end_sessions(self, name: str) -> None:
        """End a user's sessions in all browsers; tokens and servers go on."""
        user = self.find_user(name)
        if user is not None:
            await end_sessions(self, user)

    async def _log_out(self, name: str) -> None:
        user = self.find_user(name)
        if user is None:
            return
        await end_sessions(self, user, with_tokens=True)
        if not await stop_servers(self, user):
            raise web.HTTPError(504, f"the server of {name} did not stop in time")

    async def _forget(self, name: str) -> None:
        """Make the authenticator delete the password that it keeps of a user."""
        listed = self.authenticator.allowed_users & {name}
        await maybe_future(self.authenticator.delete_user(SimpleNamespace(name=name)))
        # delete_user removes the name from allowed_users, which only a change of lists may do.
        self.authenticator.allowed_users |= listed

    async def _forget_failures(self, name: str) -> None:
        """Forget a user's bad logins, after which the user would have to wait."""
        if isinstance(self.authenticator, LoginGuardMixin):
            self.authenticator.forget_failures(name)


async def shut_out(hub: Any, name: str) -> None:
    """End all servers, sessions and tokens of a user, and delete the hub's record.

    `hub` is the hub's application, or a handler of its requests.
    """
    hub.authenticator.allowed_users.discard(name)
    hub.authenticator.admin_users.discard(name)
    sign_up = _find_sign_up(hub.db, name)
    if sign_up is not None:
        # The password stays: it counts again if the user is listed again.
        sign_up.is_authorized = False
        hub.db.commit()
    record = orm.User.find(hub.db, name)
    if record is None:
        return
    user = hub.users[record]
    # Sessions end before servers, so that the user cannot start new ones meanwhile.
    await end_sessions(hub, user, with_tokens=True)
    await stop_servers(hub, user)
    try:
        await user.delete_spawners()
    except RuntimeError as error:
        # JupyterHub keeps the record of a server that has not ended. The user's record is
        # deleted all the same, or a server could keep its user in the hub.
        hub.log.warning("The record of a server of %s is deleted early: %s", name, error)
    hub.users.delete(user)
    hub.log.info("%s was shut out", name)


def _find_sign_up(db: Any, name: str) -> Any:
    """Return a user's sign-up in NativeAuthenticator's table; None if there is none.

    The table is read whatever the authenticator is: a record of a former one must not become
    valid again when an admin switches back.
    """
    if not _has_native_tables(db):
        return None
    from nativeauthenticator.orm import UserInfo

    return UserInfo.find(db, name)


async def stop_servers(hub: Any, user: Any) -> bool:
    """Stop all servers of a user, also those that are starting, and wait for their end.

    Returns whether all ended within `STOP_TIMEOUT_S` seconds. Never raises: what a server
    answers must not keep its user in the hub.
    """
    for server_name in list(user.spawners):
        cancel_start(user, server_name)
    stops = {
        asyncio.ensure_future(_stop_server(hub, user, server_name, spawner))
        for server_name, spawner in list(user.spawners.items())
    }
    if not stops:
        return True
    done, late = await asyncio.wait(stops, timeout=STOP_TIMEOUT_S)
    for task in late:
        task.cancel()
    for task in done:
        if task.exception() is not None:
            hub.log.error("A server of %s did not stop", user.name, exc_info=task.exception())
    if late:
        hub.log.warning("A server of %s did not stop in %s s", user.name, STOP_TIMEOUT_S)
    return not late and all(task.exception() is None for task in done)


async def _stop_server(hub: Any, user: Any, server_name: str, spawner: Any) -> None:
    while spawner.pending in ("spawn", "stop"):
        await asyncio.sleep(0.1)
    if not spawner.active:
        return
    # After its own restart the hub waits until each running server answers (pending
    # "check"), and JupyterHub's stop_single_user refuses a pending server. So a program that
    # never answers could not be stopped; User.stop has no such condition.
    try:
        await hub.proxy.delete_user(user, server_name)
    finally:
        await user.stop(server_name)


def _has_native_tables(db: Any) -> bool:
    from sqlalchemy import inspect

    return bool(inspect(db.get_bind()).has_table("users_info"))


HANDLERS = [(r"/api/tljh/users/([^/]+)", UserActionHandler)]
