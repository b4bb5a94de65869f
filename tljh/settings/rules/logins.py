"""Contradictions between the settings of logins and users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from shlex import quote
from typing import TYPE_CHECKING

from tljh.settings.declaration import Problem

if TYPE_CHECKING:
    from tljh.settings.root import Config


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Yield what is wrong with the settings of logins and users together."""
    users = config.users
    for index, name in enumerate(users.banned):
        if name in users.admin:
            yield Problem(
                ("users", "banned", index),
                f"users.banned names {name}, who is also an admin",
                fix=f"sudo tljh-config remove-item users.admin {quote(name)}",
            )
    for problem in _find_login_problems(config):
        # A drop-in may set what is missing here, so this is only a warning; the check of
        # everything that the hub loads refuses it.
        yield replace(problem, severity="warning")


def find_login_warnings(config: Config) -> Iterator[Problem]:
    """Yield warnings about a way to log in that works, for example that strangers may use it."""
    return (problem for problem in _find_login_problems(config) if problem.severity == "warning")


def _find_login_problems(config: Config) -> Iterator[Problem]:
    from tljh.settings.derived import build_access_traits, get_callback_url, get_site_url
    from tljh.settings.login_providers import find_provider
    from tljh.settings.login_rules import PublicSite, find_login_problems, merge_views

    provider = find_provider(config.auth.type)
    if provider is None:
        return iter(())
    ours = {"Authenticator": {"admin_users": config.users.admin, **build_access_traits(config)}}
    return find_login_problems(
        provider,
        merge_views(ours, config.auth.classes, config.traitlets),
        PublicSite(
            config.https.enabled or get_site_url(config) is not None, get_callback_url(config)
        ),
        strangers_are_fine=config.auth.allow_strangers,
    )
