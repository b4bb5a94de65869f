"""The supported ways to log in: what each needs, and which users it admits by default.

An authenticator class that is not listed here works, too; it is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

# Traits by class name: of config.yaml, or of everything that the hub loads.
View = Mapping[str, Mapping[str, Any]]


# Users who may log in while auth.allow_all is not set: `listed`, those in users.allowed,
# users.admin or an allowed group; `own`, those in the list that the authenticator keeps; `all`.
Admits = Literal["listed", "own", "all"]


OAUTH = "OAuthenticator"


@dataclass(frozen=True)
class Provider:
    """One way to log in; `classes` begins with the most specific, whose traits have priority."""

    name: str
    title: str
    classes: tuple[str, ...]
    admits: Admits = "listed"
    needs: tuple[str, ...] = ()
    callback: str | None = None
    # Anyone in the world can have an account, unless one of the traits narrows it.
    public: bool = False
    narrowed_by: tuple[str, ...] = ()
    register: str = ""
    hints: tuple[str, ...] = ()
    examples: tuple[tuple[str, str], ...] = ()

    @property
    def main_class(self) -> str:
        return self.classes[0]

    def key(self, trait: str) -> str:
        return f"auth.{self.main_class}.{trait}"


def _declare_oauth(name: str, title: str, cls: str, **more: Any) -> Provider:
    needs = ("client_id", "client_secret", *more.pop("needs", ()))
    return Provider(
        name, title, (cls, OAUTH, "Authenticator"), needs=needs, callback="oauth_callback", **more
    )


PROVIDERS = (
    Provider(
        "firstuse",
        "first use: users choose a password at their first login",
        ("FirstUseAuthenticator", "Authenticator"),
        admits="own",
        hints=(
            "add users first: sudo tljh-config add-item users.allowed NAME, or the admin page",
            "admins set their first password through a claim link only",
        ),
    ),
    Provider(
        "native",
        "native: users sign up, admins authorize them",
        ("NativeAuthenticator", "Authenticator"),
        admits="own",
        hints=(
            "users sign up at /hub/signup; admins authorize them at /hub/authorize",
            "users in users.allowed need no authorization",
            "admins set their first password through a claim link only",
        ),
        examples=(("open_signup", "true"),),
    ),
    Provider(
        "pam",
        "PAM: accounts of this machine",
        ("PAMAuthenticator", "LocalAuthenticator", "Authenticator"),
        hints=("list the users who may log in in users.allowed, or allow groups of this machine",),
        examples=(("allowed_groups", "[students]"),),
    ),
    Provider(
        "ldap",
        "LDAP: accounts of a directory",
        ("LDAPAuthenticator", "Authenticator"),
        needs=("server_address",),
        hints=(
            "set bind_dn_template if the login name is part of each user's DN; otherwise lookup_dn "
            "with user_search_base and user_attribute, which search for the user",
            "the connection is encrypted with StartTLS unless tls_strategy is set",
        ),
        examples=(
            ("server_address", "ldap.example.org"),
            ("bind_dn_template", '["uid={username},ou=people,dc=example,dc=org"]'),
            ("allowed_groups", '["cn=students,ou=groups,dc=example,dc=org"]'),
        ),
    ),
    _declare_oauth(
        "github",
        "GitHub",
        "GitHubOAuthenticator",
        public=True,
        narrowed_by=("github_url",),
        register="https://github.com/settings/developers (New OAuth App)",
        hints=("'Authorization callback URL' takes the callback URL",),
        examples=(("allowed_organizations", '["my-course"]'), ("scope", '["read:org"]')),
    ),
    _declare_oauth(
        "google",
        "Google",
        "GoogleOAuthenticator",
        public=True,
        narrowed_by=("hosted_domain", "allowed_google_groups"),
        register="https://console.cloud.google.com/apis/credentials "
        "(Create credentials, OAuth client ID, Web application)",
        hints=("'Authorized redirect URIs' takes the callback URL",),
        examples=(("hosted_domain", '["example.org"]'),),
    ),
    _declare_oauth(
        "azuread",
        "Microsoft Entra ID (Azure AD)",
        "AzureAdOAuthenticator",
        public=True,
        narrowed_by=("tenant_id",),
        needs=("tenant_id",),
        register="https://entra.microsoft.com (App registrations, New registration)",
        hints=(
            "'Redirect URI', platform Web, takes the callback URL",
            "tenant_id is 'Directory (tenant) ID' of the registration's overview",
        ),
        examples=(("tenant_id", "00000000-0000-0000-0000-000000000000"),),
    ),
    _declare_oauth(
        "gitlab",
        "GitLab",
        "GitLabOAuthenticator",
        public=True,
        narrowed_by=("gitlab_url",),
        register="https://gitlab.com/-/user_settings/applications, or the same page of your GitLab",
        hints=(
            "'Redirect URI' takes the callback URL; scope read_user (api for groups)",
            "for your GitLab, set gitlab_url",
        ),
        examples=(
            ("gitlab_url", "https://gitlab.example.org"),
            ("allowed_gitlab_groups", '["my-course"]'),
        ),
    ),
    _declare_oauth(
        "generic-oauth",
        "any OAuth 2 or OpenID Connect provider",
        "GenericOAuthenticator",
        needs=("authorize_url", "token_url", "userdata_url"),
        register="the provider's page for clients or applications",
        hints=(
            "the three URLs are in the provider's /.well-known/openid-configuration",
            "username_claim names the claim with the login name, for example preferred_username",
        ),
        examples=(
            ("authorize_url", "https://id.example.org/authorize"),
            ("token_url", "https://id.example.org/token"),
            ("userdata_url", "https://id.example.org/userinfo"),
            ("username_claim", "preferred_username"),
            ("scope", '\'["openid", "profile", "email"]\''),
        ),
    ),
    _declare_oauth(
        "auth0",
        "Auth0",
        "Auth0OAuthenticator",
        register="https://manage.auth0.com (Applications, Regular Web Application)",
        hints=("'Allowed Callback URLs' takes the callback URL",),
        examples=(("auth0_domain", "example.eu.auth0.com"),),
    ),
    _declare_oauth(
        "bitbucket",
        "Bitbucket",
        "BitbucketOAuthenticator",
        public=True,
        register="Bitbucket, Workspace settings, OAuth consumers",
        examples=(("allowed_teams", '["my-course"]'),),
    ),
    _declare_oauth(
        "cilogon",
        "CILogon",
        "CILogonOAuthenticator",
        needs=("allowed_idps",),
        register="https://cilogon.org/oauth2/register",
    ),
    _declare_oauth(
        "globus",
        "Globus",
        "GlobusOAuthenticator",
        public=True,
        narrowed_by=("identity_provider", "allowed_globus_groups"),
        register="https://app.globus.org/settings/developers",
    ),
    Provider(
        "lti13",
        "LTI 1.3: launches from Moodle, Canvas, Open edX",
        ("LTI13Authenticator", "Authenticator"),
        needs=("issuer", "authorize_url", "jwks_endpoint", "client_id"),
        callback="lti13/oauth_callback",
        hints=(
            "needs a package: sudo tljh-config add-item hub.packages jupyterhub-ltiauthenticator",
            "the platform's login URL (OIDC initiation) ends in hub/lti13/oauth_login",
            "launches come only from the platform's courses, so allow_all is usual here",
        ),
        examples=(
            ("issuer", "https://moodle.example.org"),
            ("authorize_url", "https://moodle.example.org/mod/lti/auth.php"),
            ("jwks_endpoint", "https://moodle.example.org/mod/lti/certs.php"),
            ("client_id", '["the client id"]'),
        ),
    ),
    Provider(
        "tmp",
        "temporary: a new name at each login; nothing is kept",
        ("TmpAuthenticator", "Authenticator"),
        admits="all",
    ),
    Provider(
        "shared-password",
        "one password for all users",
        ("SharedPasswordAuthenticator", "Authenticator"),
        admits="all",
        needs=("user_password",),
        hints=("admins have another password: admin_password",),
    ),
    Provider(
        "dummy",
        "anyone under any name: for a trial only",
        ("DummyAuthenticator", "Authenticator"),
        admits="all",
    ),
    Provider(
        "null",
        "no logins: for hubs that are used through the API only",
        ("NullAuthenticator", "Authenticator"),
        "own",
    ),
)


PROVIDER_NAMES = tuple(provider.name for provider in PROVIDERS)


_BY_NAME = {provider.name: provider for provider in PROVIDERS}


_BY_CLASS = {provider.main_class: provider for provider in PROVIDERS}


_OTHER_NAMES = {
    "generic": "generic-oauth",
    "entra": "azuread",
    "lti": "lti13",
    "firstuseauthenticator": "firstuse",
}


def find_provider(auth_type: str) -> Provider | None:
    """Return the description of the way to log in that `auth.type` chooses.

    `auth_type` is a short name or the path of a class; None for a class that is not described.
    """
    # JupyterHub accepts short names in upper and lower case.
    name = auth_type.lower().removeprefix("local-")
    name = _OTHER_NAMES.get(name, name)
    if name in _BY_NAME:
        return _BY_NAME[name]
    last = auth_type.replace(":", ".").rpartition(".")[2]
    # Our subclasses begin with Claimed, see `tljh.hub.process.authenticator_choice`.
    return _BY_CLASS.get(last) or _BY_CLASS.get(re.sub("^(Local|Claimed)", "", last))


def admits_all(provider: Provider, *, has_list: bool) -> bool:
    """Return whether every account of a provider may log in if auth.allow_all is not set.

    `has_list` says that users.allowed is set.
    """
    return provider.admits == "all" and (provider.name == "tmp" or not has_list)
