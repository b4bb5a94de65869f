"""Which authenticator a whole configuration chooses, whoever chose it and however it is spelled."""

from __future__ import annotations

from typing import Any

from tljh.settings.derived import OUR_FIRST_USE, OUR_NATIVE

# Ours keep administrators' names from whoever comes first.
OURS = {
    "firstuseauthenticator.firstuseauthenticator.FirstUseAuthenticator": OUR_FIRST_USE,
    "nativeauthenticator.nativeauthenticator.NativeAuthenticator": OUR_NATIVE,
}


def ours_for(chosen: type) -> type:
    """Our extension of a library's class where there is one, else the class itself."""
    from traitlets.utils.importstring import import_item

    ours = OURS.get(f"{chosen.__module__}.{chosen.__qualname__}")
    return import_item(ours) if ours else chosen


def chosen_authenticator(c: Any) -> type:
    """The class of the authenticator that the hub makes of `c`.

    Raises TraitError or ImportError for one that cannot be loaded.
    """
    from jupyterhub.app import JupyterHub

    trait = JupyterHub.class_traits()["authenticator_class"]
    named = c.JupyterHub.get("authenticator_class", trait.default())
    # __new__ alone: an application that is set up is not needed to look a name up.
    return ours_for(trait._validate(JupyterHub.__new__(JupyterHub), named))
