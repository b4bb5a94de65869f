"""Rules for a way to log in: what is missing, and whether no user or any stranger may log in.

They are applied twice. To config.yaml alone (`tljh.settings.rules.logins`) they give warnings,
because a drop-in may complete it; to everything that the hub loads (`tljh.hub.config_check`) they
give errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any
from urllib.parse import urlparse

from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.login_providers import OAUTH, Provider, View

# Traits that begin with `allow` and do not decide who may log in.
NO_RULES = {"allow_all", "allow_existing_users", "allow_2fa", "allow_self_approval_for"}


# Members of these are admins, who may log in.
ADMIN_RULES = {"admin_groups", "admin_users", "admin_google_groups"}


ANY_TENANT = ("common", "organizations", "consumers")


# Any class that uses these hosts is public.
PUBLIC_HOSTS = {"github.com", "accounts.google.com", "gitlab.com", "login.live.com"}


@dataclass(frozen=True)
class PublicSite:
    """The public address of the hub: whether it is HTTPS, and the URL for OAuth callbacks."""

    is_https: bool
    callback: str | None = None


def get_trait(view: View, classes: tuple[str, ...], name: str) -> Any:
    """Return a trait from the first of `classes` that sets it in `view`; None if none does."""
    for cls in classes:
        values = view.get(cls)
        if values and name in values:
            return values[name]
    return None


def find_login_problems(
    provider: Provider,
    view: View,
    site: PublicSite,
    *,
    strangers_are_fine: bool = False,
    classes: tuple[str, ...] | None = None,
) -> Iterator[Problem]:
    """Yield the problems of a way to log in: what is missing, and who could get in.

    `view` has the traits by class. `classes` are the chosen class and its bases, if these have been
    imported.
    """
    classes = classes or provider.classes
    if provider.name == "dummy":
        yield Problem(
            ("auth", "type"),
            "auth.type is dummy, which allows a login under any name",
            fix="choose another one: tljh auth list",
            severity="warning",
        )
    yield from _find_missing(provider, view, classes)
    if provider.callback is not None:
        yield from _check_callback(provider, view, classes, site)
    yield from _find_access_problems(provider, view, classes, strangers_are_fine)


def _find_missing(provider: Provider, view: View, classes: tuple[str, ...]) -> Iterator[Problem]:
    for name in provider.needs:
        if not get_trait(view, classes, name):
            yield Problem(
                _locate_trait(provider, name),
                f"{provider.key(name)} is not set, so no user can log in",
                why=f"{provider.title} issues it" if name.startswith("client_") else None,
                fix=_setting(provider, name),
            )
    if provider.name == "ldap" and get_trait(view, classes, "server_address"):
        searches = get_trait(view, classes, "lookup_dn") and get_trait(
            view, classes, "user_search_base"
        )
        if not searches and not get_trait(view, classes, "bind_dn_template"):
            yield Problem(
                _locate_trait(provider, "bind_dn_template"),
                "no setting maps a login name to an entry of the directory",
                fix=f"{_setting(provider, 'bind_dn_template')}; to search for users instead, set "
                "lookup_dn, user_search_base and user_attribute",
            )


def _setting(provider: Provider, name: str) -> str:
    example = dict(provider.examples).get(name, "…")
    if name in ("client_secret", "user_password"):
        return f"sudo tljh-config set {quote(provider.key(name))} --stdin"
    return f"sudo tljh-config set {quote(provider.key(name))} {quote(example)}"


def _check_callback(
    provider: Provider, view: View, classes: tuple[str, ...], site: PublicSite
) -> Iterator[Problem]:
    url = get_trait(view, classes, "oauth_callback_url")
    if url and urlparse(str(url)).scheme == "http":
        if urlparse(str(url)).hostname in ("localhost", "127.0.0.1", "::1"):
            return
        yield Problem(
            _locate_trait(provider, "oauth_callback_url"),
            f"{provider.title} would send users back over http, which exposes their logins to the "
            f"network: {url}",
            fix=_suggest_https(),
        )
    elif not (url or site.is_https or get_trait(view, classes, "uri_scheme") == "https"):
        yield Problem(
            ("auth", "type"),
            f"{provider.title} sends users back to the hub, which must be served over HTTPS",
            why="https.enabled is false",
            fix=_suggest_https()
            + (
                f"; behind a proxy that does HTTPS: sudo tljh-config set "
                f"{quote(provider.key('oauth_callback_url'))} https://hub.example.org/hub/oauth_callback"
                if OAUTH in classes
                else ""
            ),
        )


def _suggest_https() -> str:
    return (
        "sudo tljh-config set https.letsencrypt.email you@example.org && "
        "sudo tljh-config add-item https.letsencrypt.domains hub.example.org && "
        "sudo tljh-config set https.enabled true"
    )


def _find_access_problems(
    provider: Provider, view: View, classes: tuple[str, ...], strangers_are_fine: bool
) -> Iterator[Problem]:
    allows_all = get_trait(view, classes, "allow_all")
    if allows_all is True:
        if is_public(provider, view, classes) and not strangers_are_fine:
            yield Problem(
                ("auth", "allow_all"),
                f"anyone in the world with an account at {provider.title} could log in",
                fix=_suggest_narrowing(provider)
                + "; if that is intended: sudo tljh-config set auth.allow_strangers true",
            )
        return
    if provider.admits != "listed" or allows_all is None:
        return
    rules = {
        name: value
        for cls in classes
        for name, value in (view.get(cls) or {}).items()
        if _is_rule(name) and value
    }
    if not rules:
        yield Problem(
            ("auth", "type"),
            f"no user may log in with {provider.title}",
            why="users.allowed and users.admin are empty, and no group or organization is allowed",
            fix="sudo tljh-config add-item users.allowed NAME; or " + _suggest_narrowing(provider),
        )
    elif set(rules) <= {"admin_users"}:
        yield Problem(
            ("auth", "type"),
            f"only admins may log in with {provider.title}",
            fix="sudo tljh-config add-item users.allowed NAME; or " + _suggest_narrowing(provider),
            severity="warning",
        )


def _is_rule(name: str) -> bool:
    return name in ADMIN_RULES or (name.startswith("allow") and name not in NO_RULES)


def _suggest_narrowing(provider: Provider) -> str:
    for name, value in provider.examples:
        if name.startswith("allow") or (name in provider.narrowed_by and provider.public):
            return f"sudo tljh-config set {quote(provider.key(name))} {quote(value)}"
    return "for every user: sudo tljh-config set auth.allow_all true"


def is_public(provider: Provider, view: View, classes: tuple[str, ...]) -> bool:
    """Return whether anyone in the world can get an account at the provider."""
    if OAUTH in classes:
        host = urlparse(str(get_trait(view, classes, "authorize_url") or "")).hostname
        if host in PUBLIC_HOSTS:
            return True
    if not provider.public:
        return False
    for name in provider.narrowed_by:
        value = get_trait(view, classes, name)
        if provider.name == "azuread":
            if value and value not in ANY_TENANT:
                return False
        elif value and urlparse(str(value)).hostname not in PUBLIC_HOSTS:
            return False
    return True


def _locate_trait(provider: Provider, name: str) -> KeyPath:
    return ("auth", provider.main_class, name)


def merge_views(*layers: Mapping[str, Mapping[str, Any]]) -> View:
    """Merge several maps of class -> traits; later ones override earlier ones."""
    view: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for cls, values in layer.items():
            view.setdefault(cls, {}).update(values)
    return view
