"""Built-in plugin: tljh's adapter of NativeAuthenticator in place of the library's class.

Without it, a plugin or drop-in that names the library's class would get one that answers 500 to
every login, and that gives an admin's name to the first visitor who signs up with it.
"""

from __future__ import annotations

from typing import Any

from tljh.hub.process.authenticator_choice import replace_authenticator
from tljh.plugins.hookspecs import hookimpl
from tljh.settings.derived import OUR_NATIVE

LIBRARY_CLASS = "nativeauthenticator.nativeauthenticator.NativeAuthenticator"


@hookimpl
def tljh_custom_jupyterhub_config(c: Any) -> None:
    # By path: the adapter's module imports the library, which only a hub that uses it needs.
    replace_authenticator(c, LIBRARY_CLASS, OUR_NATIVE)
