"""The configuration: every setting, composed of its owners' sections; and how to load it.

`load` is the one way from a file to a `Config`; it refuses what is wrong with all findings at
once. The names that plugins import from here (`INSTALL_PREFIX` …, `set_config_value` …) are
kept for them; the paths live in `tljh.paths`, the editing in `tljh.configfile`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, ConfigDict

from tljh.conda.settings import UserEnvironmentSettings
from tljh.errors import Finding, TljhError
from tljh.files import read_file
from tljh.hub import settings as hub_settings
from tljh.hub.limit_settings import LimitsSettings
from tljh.hub.settings import (
    AuthSettings,
    BaseUrl,
    HubSettings,
    ServicesSettings,
    UsersSettings,
)
from tljh.isolation.settings import IsolationSettings
from tljh.plugins.settings import PluginsSettings
from tljh.proxy import settings as proxy_settings
from tljh.proxy.https_settings import HttpsSettings
from tljh.proxy.kinds import Network, Url
from tljh.proxy.settings import HttpSettings, ProxySettings, TraefikApiSettings
from tljh.settings import Cost, Section, section, setting

if TYPE_CHECKING:
    from tljh.hub.traits import Catalogue
    from tljh.validation import Examined, PluginSections


def _upgrade_url(value: str) -> str:
    if not value.startswith("https://"):
        raise ValueError(f"must begin with https://, not {value!r}")
    return value


class UpgradeSettings(Section):
    """Where newer versions come from."""

    url: Annotated[Url, AfterValidator(_upgrade_url)] | None = setting(
        None,
        help="URL of the bootstrap.py that an upgrade downloads; null for the place of releases.",
        cost=Cost.NOTHING,
        example="https://example.org/tljh/bootstrap.py",
    )


class Config(Section):
    """All settings of one installation, as config.yaml holds them."""

    model_config = ConfigDict(
        extra="allow",
        frozen=True,
        strict=True,
        defer_build=True,
        title="config.yaml",
        json_schema_extra={
            "additionalProperties": False,
            "patternProperties": {
                "^[A-Z]": {
                    "type": "object",
                    "description": "Traits of the class of this name, such as JupyterHub.",
                }
            },
        },
    )

    base_url: BaseUrl = setting(
        "/",
        help="Path of the hub below its host name; begins with /.",
        cost=Cost.HUB_RESTART,
        example="/hub/",
    )
    auth: AuthSettings = section(AuthSettings, help="How people log in.")
    users: UsersSettings = section(UsersSettings, help="Who may log in, and who may do more.")
    limits: LimitsSettings = section(
        LimitsSettings, help="What each person's server may take of the machine."
    )
    isolation: IsolationSettings = section(
        IsolationSettings, help="What keeps people from each other and from the machine."
    )
    http: HttpSettings = section(HttpSettings, help="Plain HTTP.")
    https: HttpsSettings = section(HttpsSettings, help="Encrypted HTTP.")
    trusted_proxies: list[Network] = setting(
        [],
        help="Addresses of proxies in front of this machine, whose forwarded headers are believed.",
        cost=Cost.PROXY_RELOAD,
        example="10.0.0.0/8",
    )
    traefik_api: TraefikApiSettings = section(TraefikApiSettings, help="Traefik's own API.")
    proxy: ProxySettings = section(ProxySettings, help="How the proxy hands over.")
    user_environment: UserEnvironmentSettings = section(
        UserEnvironmentSettings, help="What people find when their server has started."
    )
    services: ServicesSettings = section(
        ServicesSettings, help="Services that the hub runs beside itself."
    )
    hub: HubSettings = section(HubSettings, help="The hub's own environment.")
    plugins: PluginsSettings = section(PluginsSettings, help="Plugins and their sections.")
    upgrade: UpgradeSettings = section(UpgradeSettings, help="Where newer versions come from.")

    @property
    def traitlets(self) -> dict[str, dict[str, Any]]:
        """Traits by class name, as configured at the top level."""
        extra = self.__pydantic_extra__ or {}
        return {name: value for name, value in extra.items() if name[:1].isupper()}

    @property
    def plugin_sections(self) -> dict[str, Any]:
        """What plugins' own sections hold, by their names."""
        extra = self.__pydantic_extra__ or {}
        return {name: value for name, value in extra.items() if not name[:1].isupper()}


def examine(
    source: Path | bytes,
    *,
    path: str | None = None,
    catalogue: Catalogue | None = None,
    plugin_sections: PluginSections | None = None,
) -> Examined[Config]:
    """Read a configuration and tell all that is wrong with it; a missing file is an empty one."""
    from tljh.validation import validate
    from tljh.yamltree import parse

    return validate(
        parse(source if isinstance(source, bytes) else read_file(source)),
        Config,
        path=path or (str(source) if isinstance(source, Path) else "config.yaml"),
        contradictions=(hub_settings.contradictions, proxy_settings.contradictions),
        catalogue=catalogue,
        plugin_sections=plugin_sections,
    )


def load(
    source: Path | bytes,
    *,
    path: str | None = None,
    catalogue: Catalogue | None = None,
    plugin_sections: PluginSections | None = None,
) -> Config:
    """Read a configuration. Raises TljhError with every finding when anything is wrong."""
    examined = examine(source, path=path, catalogue=catalogue, plugin_sections=plugin_sections)
    findings = examined.findings("error", "incomplete")
    if findings:
        raise TljhError(findings)
    return examined.config


def check(
    source: Path | bytes,
    *,
    path: str | None = None,
    catalogue: Catalogue | None = None,
    plugin_sections: PluginSections | None = None,
) -> list[Finding]:
    """All that is wrong with a configuration; empty when nothing is."""
    examined = examine(source, path=path, catalogue=catalogue, plugin_sections=plugin_sections)
    return examined.findings("error", "incomplete")


_LAZY_PATHS = {
    "INSTALL_PREFIX": "prefix",
    "HUB_ENV_PREFIX": "hub",
    "USER_ENV_PREFIX": "user",
    "STATE_DIR": "state_dir",
    "CONFIG_DIR": "config_dir",
    "CONFIG_FILE": "config_file",
}
_EDITING = ("set_config_value", "unset_config_value", "add_config_value", "remove_config_value")


def __getattr__(name: str) -> Any:
    """Names for TLJH's plugins: they depend on the environment, so they resolve when asked for."""
    if name in _LAZY_PATHS:
        from tljh.paths import paths_from_environment

        return str(getattr(paths_from_environment(), _LAZY_PATHS[name]))
    if name in _EDITING or name == "reload_component":
        from tljh import configfile

        return getattr(configfile, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
