"""The ways to log in that we know: what each one needs, and whom it lets in by default.

A class that is not in this list works too; it is taken as it is, and nothing is said about it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

# Traits by class name, whether of config.yaml or of everything that the hub loads.
View = Mapping[str, Mapping[str, Any]]


# By whom somebody is let in when nothing is said:
# `listed`: users.allowed, users.admin, or groups; `own`: the authenticator has its own list of
# people; `all`: everybody.
LetsIn = Literal["listed", "own", "all"]


OAUTH = "OAuthenticator"


@dataclass(frozen=True)
class Provider:
    """One way to log in; `classes` begins with the most special, whose traits win."""

    name: str
    title: str
    classes: tuple[str, ...]
    lets_in: LetsIn = "listed"
    needs: tuple[str, ...] = ()
    callback: str | None = None
    # Where the world at large has accounts, until one of these traits narrows it.
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


def _oauth(name: str, title: str, cls: str, **more: Any) -> Provider:
    needs = ("client_id", "client_secret", *more.pop("needs", ()))
    return Provider(
        name, title, (cls, OAUTH, "Authenticator"), needs=needs, callback="oauth_callback", **more
    )


PROVIDERS = (
    Provider(
        "firstuse",
        "first use: people choose their password at their first login",
        ("FirstUseAuthenticator", "Authenticator"),
        lets_in="own",
        hints=(
            "add people first: sudo tljh-config add-item users.allowed NAME, or the admin page",
            "administrators set their first password through a claim link only",
        ),
    ),
    Provider(
        "native",
        "native: people sign up, administrators authorize them",
        ("NativeAuthenticator", "Authenticator"),
        lets_in="own",
        hints=(
            "people sign up at /hub/signup; administrators authorize them at /hub/authorize",
            "who is in users.allowed needs no authorization",
            "administrators set their first password through a claim link only",
        ),
        examples=(("open_signup", "true"),),
    ),
    Provider(
        "pam",
        "PAM: accounts of this machine",
        ("PAMAuthenticator", "LocalAuthenticator", "Authenticator"),
        hints=("name who may log in: users.allowed, or groups of this machine",),
        examples=(("allowed_groups", "[students]"),),
    ),
    Provider(
        "ldap",
        "LDAP: accounts of a directory",
        ("LDAPAuthenticator", "Authenticator"),
        needs=("server_address",),
        hints=(
            "either bind_dn_template, when names are part of every person's DN, or lookup_dn "
            "with user_search_base and user_attribute, when people have to be searched for",
            "the connection is encrypted with StartTLS unless tls_strategy says otherwise",
        ),
        examples=(
            ("server_address", "ldap.example.org"),
            ("bind_dn_template", "'[\"uid={username},ou=people,dc=example,dc=org\"]'"),
            ("allowed_groups", "'[\"cn=students,ou=groups,dc=example,dc=org\"]'"),
        ),
    ),
    _oauth(
        "github",
        "GitHub",
        "GitHubOAuthenticator",
        public=True,
        narrowed_by=("github_url",),
        register="https://github.com/settings/developers (New OAuth App)",
        hints=("'Authorization callback URL' takes the callback URL",),
        examples=(("allowed_organizations", "'[\"my-course\"]'"), ("scope", "'[\"read:org\"]'")),
    ),
    _oauth(
        "google",
        "Google",
        "GoogleOAuthenticator",
        public=True,
        narrowed_by=("hosted_domain", "allowed_google_groups"),
        register="https://console.cloud.google.com/apis/credentials "
        "(Create credentials, OAuth client ID, Web application)",
        hints=("'Authorized redirect URIs' takes the callback URL",),
        examples=(("hosted_domain", "'[\"example.org\"]'"),),
    ),
    _oauth(
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
    _oauth(
        "gitlab",
        "GitLab",
        "GitLabOAuthenticator",
        public=True,
        narrowed_by=("gitlab_url",),
        register="https://gitlab.com/-/user_settings/applications, or the same of your own GitLab",
        hints=(
            "'Redirect URI' takes the callback URL; scope read_user (api for groups)",
            "for your own GitLab, set gitlab_url",
        ),
        examples=(
            ("gitlab_url", "https://gitlab.example.org"),
            ("allowed_gitlab_groups", "'[\"my-course\"]'"),
        ),
    ),
    _oauth(
        "generic-oauth",
        "any OAuth 2 or OpenID Connect provider",
        "GenericOAuthenticator",
        needs=("authorize_url", "token_url", "userdata_url"),
        register="your provider's page for clients or applications",
        hints=(
            "the three URLs stand in the provider's /.well-known/openid-configuration",
            "username_claim names what becomes the login name, for example preferred_username",
        ),
        examples=(
            ("authorize_url", "https://id.example.org/authorize"),
            ("token_url", "https://id.example.org/token"),
            ("userdata_url", "https://id.example.org/userinfo"),
            ("username_claim", "preferred_username"),
            ("scope", '\'["openid", "profile", "email"]\''),
        ),
    ),
    _oauth(
        "auth0",
        "Auth0",
        "Auth0OAuthenticator",
        register="https://manage.auth0.com (Applications, Regular Web Application)",
        hints=("'Allowed Callback URLs' takes the callback URL",),
        examples=(("auth0_domain", "example.eu.auth0.com"),),
    ),
    _oauth(
        "bitbucket",
        "Bitbucket",
        "BitbucketOAuthenticator",
        public=True,
        register="Bitbucket, Workspace settings, OAuth consumers",
        examples=(("allowed_teams", "'[\"my-course\"]'"),),
    ),
    _oauth(
        "cilogon",
        "CILogon",
        "CILogonOAuthenticator",
        needs=("allowed_idps",),
        register="https://cilogon.org/oauth2/register",
    ),
    _oauth(
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
            "a course's launches come from the platform alone, so allow_all is usual here",
        ),
        examples=(
            ("issuer", "https://moodle.example.org"),
            ("authorize_url", "https://moodle.example.org/mod/lti/auth.php"),
            ("jwks_endpoint", "https://moodle.example.org/mod/lti/certs.php"),
            ("client_id", "'[\"the client id\"]'"),
        ),
    ),
    Provider(
        "tmp",
        "a new name for everybody who comes; nothing is kept",
        ("TmpAuthenticator", "Authenticator"),
        lets_in="all",
    ),
    Provider(
        "shared-password",
        "one password for everybody",
        ("SharedPasswordAuthenticator", "Authenticator"),
        lets_in="all",
        needs=("user_password",),
        hints=("administrators have a password of their own: admin_password",),
    ),
    Provider(
        "dummy",
        "anyone as anyone: for a try only",
        ("DummyAuthenticator", "Authenticator"),
        lets_in="all",
    ),
    Provider(
        "null", "nobody: for hubs with an API only", ("NullAuthenticator", "Authenticator"), "own"
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


def provider_of(auth_type: str) -> Provider | None:
    """The provider behind `auth.type`: a short name or a class by any of its paths."""
    # JupyterHub takes short names in any case.
    name = auth_type.lower().removeprefix("local-")
    name = _OTHER_NAMES.get(name, name)
    if name in _BY_NAME:
        return _BY_NAME[name]
    last = auth_type.replace(":", ".").rpartition(".")[2]
    # Ours begin with Claimed, see `tljh.hub.process.authenticator_choice`.
    return _BY_CLASS.get(last) or _BY_CLASS.get(re.sub("^(Local|Claimed)", "", last))


def lets_everybody_in(provider: Provider, *, has_list: bool) -> bool:
    """Whether everybody whom the provider knows may log in when nothing is said."""
    return provider.lets_in == "all" and (provider.name == "tmp" or not has_list)
