"""Logins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from tljh.settings.declaration import Problem

if TYPE_CHECKING:
    from tljh.settings.root import Config


def contradictions(config: Config) -> Iterator[Problem]:
    """What is wrong with the hub's settings taken together."""
    users = config.users
    for index, name in enumerate(users.banned):
        if name in users.admin:
            yield Problem(
                ("users", "banned", index),
                f"users.banned names {name}, who is an administrator as well",
                fix=f"sudo tljh-config remove-item users.admin {name}",
            )
    for problem in _login_problems(config):
        # A drop-in may have what is missing here; the hub's own check sees both, and refuses.
        yield replace(problem, severity="warning")


def login_warnings(config: Config) -> Iterator[Problem]:
    """What works as it is configured, and should be said all the same."""
    return (problem for problem in _login_problems(config) if problem.severity == "warning")


def _login_problems(config: Config) -> Iterator[Problem]:
    from tljh.settings.derived import callback_url, site_url, who_is_let_in
    from tljh.settings.login_providers import provider_of
    from tljh.settings.login_rules import Site, login_problems, view_of

    provider = provider_of(config.auth.type)
    if provider is None:
        return iter(())
    ours = {"Authenticator": {"admin_users": config.users.admin, **who_is_let_in(config)}}
    return login_problems(
        provider,
        view_of(ours, config.auth.classes, config.traitlets),
        Site(config.https.enabled or site_url(config) is not None, callback_url(config)),
        strangers_are_fine=config.auth.allow_strangers,
    )
