"""The variables of a service: those that JupyterHub gives to its services, and the admin's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tljh.base.paths import Paths
from tljh.base.well_known import get_certificate_variables
from tljh.host.command_environment import SYSTEM_DIRECTORIES
from tljh.settings.derived import get_api_url, uses_internal_ssl

if TYPE_CHECKING:
    from tljh.settings.root import Config

_SPECIAL = re.compile(r'[\\"$`]')


def build_environment(config: Config, paths: Paths, name: str, token: str) -> dict[str, str]:
    """Return the variables of a managed service, its token included."""
    service = config.services.own[name]
    base, host = config.base_url, _get_public_host(config, name)
    scopes = json.dumps(["access:services", f"access:services!service={name}"])
    allowed = json.dumps(service.oauth_client_allowed_scopes)
    variables = {
        "PATH": ":".join((str(paths.hub_files.bin_dir), *SYSTEM_DIRECTORIES)),
        "HOME": str(get_data_directory(name)),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **service.environment,
        "JUPYTERHUB_SERVICE_NAME": name,
        "JUPYTERHUB_API_TOKEN": token,
        "JPY_API_TOKEN": token,
        "JUPYTERHUB_API_URL": get_api_url(base),
        "JUPYTERHUB_BASE_URL": base,
        "JUPYTERHUB_HOST": str(_get_trait(config, "subdomain_host") or ""),
        "JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED": str(
            int(bool(_get_trait(config, "cookie_host_prefix_enabled")))
        ),
        "JUPYTERHUB_CLIENT_ID": f"service-{name}",
        "JUPYTERHUB_OAUTH_SCOPES": scopes,
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": scopes,
        "JUPYTERHUB_OAUTH_CLIENT_ALLOWED_SCOPES": allowed,
    }
    if service.address:
        prefix = get_prefix(config, name)
        variables |= {
            "JUPYTERHUB_SERVICE_URL": service.address,
            "JUPYTERHUB_SERVICE_PREFIX": prefix,
            "JUPYTERHUB_OAUTH_CALLBACK_URL": service.oauth_redirect_uri
            or f"{host}{prefix}oauth_callback",
        }
    if uses_internal_ssl(config):
        variables |= get_certificate_variables(get_certificate_directory(name))
        variables["JUPYTERHUB_API_URL"] = get_api_url(base, "https")
    public = _get_trait(config, "public_url")
    if public:
        origin = "://".join(urlsplit(str(public))[:2])
        variables["JUPYTERHUB_PUBLIC_HUB_URL"] = f"{origin}{base}hub/"
        if service.address:
            variables["JUPYTERHUB_PUBLIC_URL"] = f"{host or origin}{get_prefix(config, name)}"
    return variables


def get_prefix(config: Config, name: str) -> str:
    """Return the path below which the hub's address leads to a service."""
    return f"{config.base_url}services/{name}/"


def get_data_directory(name: str) -> Path:
    """Return the directory where a service keeps its data."""
    return Paths.services_data / name


def get_certificate_directory(name: str) -> Path:
    """Return the directory of root's with the certificate of a running service."""
    return Paths.services_certificates / name


def _get_trait(config: Config, trait: str) -> Any:
    return config.traitlets.get("JupyterHub", {}).get(trait)


def _get_public_host(config: Config, name: str) -> str:
    """Return the origin of a service where each user and service has a host; else empty."""
    subdomain_host = _get_trait(config, "subdomain_host")
    if not subdomain_host:
        return ""
    # Imported here: it takes long, and few hubs need it.
    from jupyterhub.utils import subdomain_hook_idna, subdomain_hook_legacy

    url = urlsplit(str(subdomain_host))
    is_legacy = _get_trait(config, "subdomain_hook") == "legacy"
    hook = subdomain_hook_legacy if is_legacy else subdomain_hook_idna
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{hook(name, url.hostname, 'service')}{port}"


def format_environment(variables: dict[str, str]) -> bytes:
    """Return the text of an EnvironmentFile= of systemd."""
    lines = [
        f'{name}="{_SPECIAL.sub(lambda match: chr(92) + match[0], value)}"\n'
        for name, value in variables.items()
    ]
    return "".join(lines).encode()
