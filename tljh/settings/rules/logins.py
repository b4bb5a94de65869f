"""Contradictions between the settings of logins and users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tljh.settings.declaration import Problem

if TYPE_CHECKING:
    from tljh.settings.root import Config


def contradictions(config: Config) -> Iterator[Problem]:
    """Yield what is wrong with the settings of logins and users together."""
    users = config.users
    for index, name in enumerate(users.banned):
        if name in users.admin:
            yield Problem(
                ("users", "banned", index),
                f"users.banned names {name}, who is also an admin",
                fix=f"sudo tljh-config remove-item users.admin {name}",
            )
    for problem in _login_problems(config):
        # A drop-in may set what is missing here, so this is only a warning; the check of
        # everything that the hub loads refuses it.
        yield replace(problem, severity="warning")


def login_warnings(config: Config) -> Iterator[Problem]:
    """Yield warnings about a way to log in that works."""
    return (problem for problem in _login_problems(config) if problem.severity == "warning")


def _login_problems(config: Config) -> Iterator[Problem]:
    from tljh.settings.derived import access_traits, callback_url, site_url
    from tljh.settings.login_providers import provider_of
    from tljh.settings.login_rules import Site, login_problems, view_of

    provider = provider_of(config.auth.type)
    if provider is None:
        return iter(())
    ours = {"Authenticator": {"admin_users": config.users.admin, **access_traits(config)}}
    return login_problems(
        provider,
        view_of(ours, config.auth.classes, config.traitlets),
        Site(config.https.enabled or site_url(config) is not None, callback_url(config)),
        strangers_are_fine=config.auth.allow_strangers,
    )
