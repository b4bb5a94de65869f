"""How packages are fetched: the settings as variables of pip, uv, rattler, git and requests.

They are read from config.yaml whenever a package is fetched, not from what was applied: a reload
that needs packages has to reach them by the settings that it is to apply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from tljh.base.bundles import VARIABLE
from tljh.base.paths import Paths

if TYPE_CHECKING:
    from tljh.host.interface import HostReader
    from tljh.settings.sections.user_environment import UserEnvironmentSettings

_PROXY_NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
_NO_PROXY_NAMES = ("NO_PROXY", "no_proxy")
_CA_NAMES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE")
NETWORK_NAMES = (*_PROXY_NAMES, *_NO_PROXY_NAMES, *_CA_NAMES)

# The hub and Traefik are asked through loopback.
_OWN_HOSTS = ("localhost", "127.0.0.1", "::1")


def read_package_variables(host: HostReader, paths: Paths) -> dict[str, str]:
    """Return the variables of the installation, with those of config.yaml over them."""
    kept = _parse_variables(host.read(paths.kept_environment) or b"")
    return _merge(kept, _parse_configuration(host.read(paths.config_file) or b""))


def read_configured_variables(host: HostReader, paths: Paths) -> dict[str, str]:
    """Return the variables of config.yaml alone."""
    return dict(_parse_configuration(host.read(paths.config_file) or b""))


def read_planned_variables(
    host: HostReader, paths: Paths, settings: UserEnvironmentSettings, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the variables by the settings of a plan, which need not be on disk yet.

    A bundle of an installation that runs is in `environ` until the variables are kept.
    """
    kept = _parse_variables(host.read(paths.kept_environment) or b"")
    bundle = {name: environ[name] for name in (VARIABLE,) if name in environ}
    return _merge({**kept, **bundle}, build_package_variables(settings))


def select_network_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables about proxies and CAs: those that hold for all requests."""
    return {name: value for name, value in variables.items() if name in NETWORK_NAMES}


def _merge(kept: Mapping[str, str], configured: Mapping[str, str]) -> dict[str, str]:
    # Settings with an index lead back to the network after an installation from a
    # bundle, which has no index.
    if "PIP_INDEX_URL" in configured:
        kept = {name: value for name, value in kept.items() if name != "PIP_NO_INDEX"}
    return {**kept, **configured}


def _parse_variables(data: bytes) -> dict[str, str]:
    try:
        variables = json.loads(data)
    except ValueError:
        return {}
    if not isinstance(variables, dict):
        return {}
    return {str(name): str(value) for name, value in variables.items()}


@lru_cache(maxsize=1)
def _parse_configuration(data: bytes) -> Mapping[str, str]:
    if b"user_environment" not in data:
        return {}
    # Imported here: it takes long, and most configurations set nothing of it.
    from tljh.settings.load import examine

    # A mistake elsewhere in the file must not hide the proxy; a wrong value counts as not set.
    return build_package_variables(examine(data).config.user_environment)


def build_package_variables(settings: UserEnvironmentSettings) -> dict[str, str]:
    """Return the environment variables by which the settings hold, for every tool."""
    variables: dict[str, str] = {}
    if settings.pip.index_url:
        variables |= dict.fromkeys(("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), settings.pip.index_url)
    if settings.pip.extra_index_urls:
        urls = " ".join(settings.pip.extra_index_urls)
        variables |= dict.fromkeys(("PIP_EXTRA_INDEX_URL", "UV_INDEX"), urls)
    if settings.proxy:
        # Some tools read the one spelling, some the other.
        variables |= dict.fromkeys(_PROXY_NAMES, settings.proxy)
        hosts = ",".join((*_OWN_HOSTS, *settings.no_proxy))
        variables |= dict.fromkeys(_NO_PROXY_NAMES, hosts)
    if settings.ca_bundle:
        variables |= dict.fromkeys(_CA_NAMES, settings.ca_bundle)
    if settings.credentials_file:
        variables["NETRC"] = settings.credentials_file
    return variables
