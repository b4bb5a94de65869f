"""Facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.host.password_store import logins, native_sign_ups
from tljh.settings.derived import uses_native
from tljh.users.declared_access import listed_before

if TYPE_CHECKING:
    from tljh.settings.root import Config


def logins_with_password(config: Config, paths: Paths) -> frozenset[str]:
    """Whose password the authenticator keeps, so that an administrator needs no claim."""
    if uses_native(config):
        listed = listed_before(paths.state_dir)
        sign_ups = native_sign_ups(paths.state_dir / "jupyterhub.sqlite")
        return frozenset(name for name, is_ours in sign_ups.items() if is_ours or name in listed)
    return frozenset(logins(paths.state_dir / "passwords.dbm"))
