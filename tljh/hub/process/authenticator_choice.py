"""The authenticator class that a whole configuration chooses, by any name or path of the class."""

from __future__ import annotations

from typing import Any

from traitlets import TraitError


def choose_authenticator(c: Any) -> type:
    """Return the authenticator class that the hub loads for the configuration `c`.

    Raises TraitError or ImportError for one that cannot be loaded.
    """
    from jupyterhub.app import JupyterHub

    trait = JupyterHub.class_traits()["authenticator_class"]
    reference = c.JupyterHub.get("authenticator_class", trait.default())
    # The trait resolves short names and paths. It needs an instance, but not its configuration:
    # __new__ does not run JupyterHub's __init__.
    chosen: type = trait._validate(JupyterHub.__new__(JupyterHub), reference)
    return chosen


def replace_authenticator(c: Any, library_class: str, adapter: str) -> None:
    """Make `c` choose the class path `adapter` in place of `library_class`, if it chose that."""
    try:
        chosen = choose_authenticator(c)
    except (TraitError, ImportError):
        # The check of the configuration reports it.
        return
    if f"{chosen.__module__}.{chosen.__qualname__}" == library_class:
        c.JupyterHub.authenticator_class = adapter
