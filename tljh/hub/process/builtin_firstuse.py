"""Built-in plugin: tljh's adapter of FirstUseAuthenticator in place of the library's class.

Without it, a plugin or drop-in that names the library's class would give an admin's name, and with
it root, to the first visitor who logs in with it.
"""

from __future__ import annotations

from typing import Any

from tljh.hub.process.authenticator_choice import replace_authenticator
from tljh.plugins.hookspecs import hookimpl
from tljh.settings.derived import OUR_FIRST_USE

LIBRARY_CLASS = "firstuseauthenticator.firstuseauthenticator.FirstUseAuthenticator"


@hookimpl
def tljh_custom_jupyterhub_config(c: Any) -> None:
    replace_authenticator(c, LIBRARY_CLASS, OUR_FIRST_USE)
