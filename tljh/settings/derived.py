"""Values that follow from several settings: authenticator class, access, public addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tljh.base.well_known import HUB_PORT
from tljh.settings.login_providers import admits_all, find_provider
from tljh.settings.sections.https import HSTS_S, HttpsSettings
from tljh.settings.trait_catalogue import NAMED_HERE

if TYPE_CHECKING:
    from tljh.settings.root import Config

OUR_FIRST_USE = "tljh.hub.process.firstuse_authenticator.ClaimedFirstUseAuthenticator"


OUR_NATIVE = "tljh.hub.process.native_authenticator.ClaimedNativeAuthenticator"


# Names of the same class; our subclass adds claims for the names of admins.
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


def _get_auth_type(config: Config) -> str:
    """Return `auth.type` as the path of a class, or as a provider's short name in lower case."""
    named = NAMED_HERE.get(config.auth.type.lower(), config.auth.type).replace(":", ".")
    return named if "." in named else named.lower()


def uses_first_use(config: Config) -> bool:
    return _get_auth_type(config) in FIRST_USE_NAMES


def uses_native(config: Config) -> bool:
    return _get_auth_type(config) in NATIVE_NAMES


def keeps_passwords(config: Config) -> bool:
    """Return whether the hub itself keeps users' passwords."""
    return uses_first_use(config) or uses_native(config)


def uses_claims(config: Config) -> bool:
    """Return whether admins set their first password by a claim link.

    They do if the hub keeps passwords, and the proxy leads to the hub's pages.
    """
    return keeps_passwords(config) and serves_login_page(config)


def get_authenticator_class(config: Config) -> str:
    """Return the path of the class that the hub loads for `auth.type`.

    It is tljh's subclass, where there is one of the chosen class.
    """
    if uses_first_use(config):
        return OUR_FIRST_USE
    return OUR_NATIVE if uses_native(config) else _get_auth_type(config)


def list_login_classes(config: Config) -> list[str]:
    """Return the names of the authenticator's classes as far as they are known, bases first."""
    provider = find_provider(config.auth.type)
    if provider is not None:
        return [*reversed(provider.classes)]
    return ["Authenticator", _get_auth_type(config).rpartition(".")[2]]


def build_access_traits(config: Config) -> dict[str, Any]:
    """Return JupyterHub's traits that decide who may log in, each set explicitly.

    JupyterHub's defaults depend on the length of lists: removing the last name would open a hub to
    every user, and adding the first one to every user who ever logged in.
    """
    traits: dict[str, Any] = {
        "allowed_users": sorted(config.users.allowed),
        # A user in the hub's database logged in once, but may have been removed from the list.
        "allow_existing_users": False,
    }
    provider = find_provider(config.auth.type)
    if provider is not None:
        # We check before the hub starts whether any user can log in; JupyterHub only guesses.
        traits["any_allow_config"] = True
    if config.auth.allow_all is not None:
        traits["allow_all"] = config.auth.allow_all
    elif provider is not None:
        # A list restricts access even when it is empty.
        has_list = "allowed" in config.users.model_fields_set
        traits["allow_all"] = admits_all(provider, has_list=has_list)
    return traits


def get_site_url(config: Config) -> str | None:
    """Return the public URL of the hub, with a / at the end; None where it is not configured.

    With trusted proxies and a name, one of them serves HTTPS, on port 443.
    """
    https = config.https
    names = [name for name in https.names if not name.startswith("*.")]
    if not names or not (https.enabled or config.trusted_proxies):
        return None
    host = f"[{names[0]}]" if ":" in names[0] else names[0]
    port = f":{https.port}" if https.enabled and https.port != 443 else ""
    return f"https://{host}{port}{config.base_url}"


def get_callback_url(config: Config) -> str | None:
    """Return the URL to which an OAuth provider sends users back; None if it is not known."""
    provider, site = find_provider(config.auth.type), get_site_url(config)
    if provider is None or provider.callback is None or site is None:
        return None
    return f"{site}hub/{provider.callback}"


def get_hub_routespec(config: Config) -> str:
    """Return the path below which the proxy sends requests to the hub, by `hub.mode`."""
    below = {"full": "", "no-pages-at-root": "hub/", "api-only": "hub/api/"}
    return config.base_url + below[config.hub.mode]


def list_program_routes(config: Config) -> dict[str, str]:
    """Return the URLs of `proxy.extra_routes`, by their paths."""
    routes = config.proxy.extra_routes.items()
    return {path: target for path, target in routes if not target.startswith("/")}


def list_folder_routes(config: Config) -> dict[str, str]:
    """Return the directories of `proxy.extra_routes`, by their paths."""
    routes = config.proxy.extra_routes.items()
    return {path: target for path, target in routes if target.startswith("/")}


def serves_login_page(config: Config) -> bool:
    """Return whether the login page is reachable through the proxy, class sections included."""
    routespec = config.traitlets.get("JupyterHub", {}).get("hub_routespec")
    if not isinstance(routespec, str):
        routespec = get_hub_routespec(config)
    return f"{config.base_url}hub/login".startswith(routespec.rstrip("/") + "/")


def uses_internal_ssl(config: Config) -> bool:
    """Return whether hub, proxy and servers speak TLS with each other."""
    for section in ("TljhHub", "JupyterHub", "Application"):
        if "internal_ssl" in config.traitlets.get(section, {}):
            return bool(config.traitlets[section]["internal_ssl"])
    return False


def get_api_url(base_url: str, scheme: str = "http") -> str:
    """Return the URL of the API of this machine's hub.

    For commands it is http:// with `internal_ssl`, too: see tljh.host.hub_identity.
    """
    return f"{scheme}://127.0.0.1:{HUB_PORT}{base_url}hub/api"


def join_address(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def get_hsts_s(https: HttpsSettings) -> int | None:
    """Return the seconds for which browsers must use HTTPS only; None for no HSTS header.

    HSTS is valid for a host name with all its ports, and browsers then offer no way past a
    certificate warning. By default there is no header where another server has port 443, because
    that server may set another value. It is 0, which ends HSTS, with a certificate authority that
    browsers do not trust (ours, and Let's Encrypt's test authority): on a new computer users must
    be able to open the page that explains how to trust it.
    """
    if https.hsts is not None:
        return https.hsts
    if https.port != 443:
        return None
    mode = https.effective_mode
    is_test = mode == "letsencrypt" and https.letsencrypt.staging
    return 0 if mode == "internal" or is_test else HSTS_S
