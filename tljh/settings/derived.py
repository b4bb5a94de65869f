"""Derived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tljh.base.well_known import HUB_PORT
from tljh.settings.login_providers import lets_everybody_in, provider_of
from tljh.settings.sections.https import HSTS_S, HttpsSettings
from tljh.settings.trait_catalogue import NAMED_HERE

if TYPE_CHECKING:
    from tljh.settings.root import Config

OUR_FIRST_USE = "tljh.hub.process.firstuse_authenticator.ClaimedFirstUseAuthenticator"


OUR_NATIVE = "tljh.hub.process.native_authenticator.ClaimedNativeAuthenticator"


# Names of the same class; ours adds claims for administrators' names.
# See `tljh.hub.process.authenticator_choice`.
FIRST_USE_NAMES = (
    "firstuse",
    "firstuseauthenticator",
    "firstuseauthenticator.FirstUseAuthenticator",
    "firstuseauthenticator.firstuseauthenticator.FirstUseAuthenticator",
    OUR_FIRST_USE,
)


NATIVE_NAMES = (
    "native",
    "nativeauthenticator.NativeAuthenticator",
    "nativeauthenticator.nativeauthenticator.NativeAuthenticator",
    OUR_NATIVE,
)


def _authenticator(config: Config) -> str:
    """What auth.type names: the path of a class, or a short name, which has no capitals."""
    named = NAMED_HERE.get(config.auth.type.lower(), config.auth.type).replace(":", ".")
    return named if "." in named else named.lower()


def uses_first_use(config: Config) -> bool:
    return _authenticator(config) in FIRST_USE_NAMES


def uses_native(config: Config) -> bool:
    return _authenticator(config) in NATIVE_NAMES


def uses_claims(config: Config) -> bool:
    """Whether the authenticator keeps passwords, so that administrators need a claim."""
    return uses_first_use(config) or uses_native(config)


def authenticator_class(config: Config) -> str:
    """The class that the hub loads: ours where it is one of those that we extend."""
    if uses_first_use(config):
        return OUR_FIRST_USE
    return OUR_NATIVE if uses_native(config) else _authenticator(config)


def who_is_let_in(config: Config) -> dict[str, Any]:
    """JupyterHub's traits for who may log in, always said explicitly.

    JupyterHub's own defaults change their meaning with the length of lists: the last removed
    name would open a hub to everybody, and the first one to all who ever logged in.
    """
    traits: dict[str, Any] = {
        "allowed_users": sorted(config.users.allowed),
        # Who is in the hub's database was let in once, which is no right to come back.
        "allow_existing_users": False,
    }
    provider = provider_of(config.auth.type)
    if provider is not None:
        # Whether anybody can log in is checked before a hub starts; JupyterHub only guesses.
        traits["any_allow_config"] = True
    if config.auth.allow_all is not None:
        traits["allow_all"] = config.auth.allow_all
    elif provider is not None:
        # A list, also one that was emptied, is a wish to restrict whoever comes.
        has_list = "allowed" in config.users.model_fields_set
        traits["allow_all"] = lets_everybody_in(provider, has_list=has_list)
    return traits


def site_url(config: Config) -> str | None:
    """The public address of the hub, where the configuration tells it; ends in /.

    With trusted proxies and a name, it is one of them that does HTTPS, on the usual port.
    """
    https = config.https
    names = [name for name in https.names if not name.startswith("*.")]
    if not names or not (https.enabled or config.trusted_proxies):
        return None
    host = f"[{names[0]}]" if ":" in names[0] else names[0]
    port = f":{https.port}" if https.enabled and https.port != 443 else ""
    return f"https://{host}{port}{config.base_url}"


def callback_url(config: Config) -> str | None:
    """Where an OAuth provider sends people back to; None where it cannot be told."""
    provider, site = provider_of(config.auth.type), site_url(config)
    if provider is None or provider.callback is None or site is None:
        return None
    return f"{site}hub/{provider.callback}"


def api_url(base_url: str) -> str:
    """Where this machine's hub has its API, by the configuration's base_url."""
    return f"http://127.0.0.1:{HUB_PORT}{base_url}hub/api"


def join_address(host: str, port: int) -> str:
    """`host:port` with the brackets that an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def hsts_s(https: HttpsSettings) -> int | None:
    """For how long browsers are told to come by HTTPS only; None for saying nothing of it.

    It holds for a host name with all its ports, and takes away the way past a warning. So
    nothing is said by itself where the hub is a guest beside another server on 443, which may
    say something else; and 0, for forgetting it, with an authority that browsers do not trust by
    themselves (Let's Encrypt's test authority is one): a LAN host has other services, and who
    meets the hub from a new computer must be able to get at the page that explains.
    """
    if https.hsts is not None:
        return https.hsts
    if https.port != 443:
        return None
    mode = https.effective_mode
    is_test = mode == "letsencrypt" and https.letsencrypt.staging
    return 0 if mode == "internal" or is_test else HSTS_S
