"""`Config`: the sections of config.yaml, composed."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict

from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.sections.access import AuthSettings, UsersSettings
from tljh.settings.sections.https import HttpsSettings
from tljh.settings.sections.hub import HubSettings, ServicesSettings
from tljh.settings.sections.isolation import IsolationSettings
from tljh.settings.sections.limits import LimitsSettings
from tljh.settings.sections.plugins import PluginsSettings
from tljh.settings.sections.proxy import HttpSettings, ProxySettings, TraefikApiSettings
from tljh.settings.sections.user_environment import UserEnvironmentSettings
from tljh.settings.value_types import BaseUrl, Network, Url


def _upgrade_url(value: str) -> str:
    if not value.startswith("https://"):
        raise ValueError(f"must begin with https://, not {value!r}")
    return value


class UpgradeSettings(Section):
    """Source of newer versions."""

    url: Annotated[Url, AfterValidator(_upgrade_url)] | None = setting(
        None,
        help="URL of the bootstrap.py that an upgrade downloads; null for the official releases.",
        cost=Cost.NOTHING,
        example="https://example.org/tljh/bootstrap.py",
    )


class Config(Section):
    """All settings of an installation."""

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
                    "description": "Traits of the class with this name, such as JupyterHub.",
                }
            },
        },
    )

    base_url: BaseUrl = setting(
        "/",
        help="URL path of the hub; begins with /.",
        cost=Cost.HUB_RESTART,
        example="/hub/",
    )
    auth: AuthSettings = section(AuthSettings, help="How users log in.")
    users: UsersSettings = section(UsersSettings, help="Users, admins, and their Linux accounts.")
    limits: LimitsSettings = section(
        LimitsSettings, help="What each user's server may use of the machine."
    )
    isolation: IsolationSettings = section(
        IsolationSettings, help="Isolation of users' servers from each other and from the machine."
    )
    http: HttpSettings = section(HttpSettings, help="Plain HTTP.")
    https: HttpsSettings = section(HttpsSettings, help="HTTPS and its certificates.")
    trusted_proxies: list[Network] = setting(
        [],
        help="Addresses of proxies in front of this machine whose X-Forwarded headers are trusted.",
        cost=Cost.PROXY_RELOAD,
        example="10.0.0.0/8",
    )
    traefik_api: TraefikApiSettings = section(TraefikApiSettings, help="The API of Traefik.")
    proxy: ProxySettings = section(
        ProxySettings, help="The proxy: how long old connections stay open, and its logs."
    )
    user_environment: UserEnvironmentSettings = section(
        UserEnvironmentSettings, help="The environment in which users' servers and kernels run."
    )
    services: ServicesSettings = section(ServicesSettings, help="Services that the hub starts.")
    hub: HubSettings = section(HubSettings, help="The hub environment.")
    plugins: PluginsSettings = section(
        PluginsSettings, help="Plugins, and their sections in this file."
    )
    upgrade: UpgradeSettings = section(UpgradeSettings, help="Source of newer versions.")

    @property
    def traitlets(self) -> dict[str, dict[str, Any]]:
        """Traits by class name, of the sections at the top level."""
        extra = self.__pydantic_extra__ or {}
        return {
            name: value
            for name, value in extra.items()
            # A plugin's section may begin with a capital, too, and hold anything.
            if name[:1].isupper() and isinstance(value, dict)
        }

    @property
    def plugin_sections(self) -> dict[str, Any]:
        """Content of plugins' sections by their names."""
        extra = self.__pydantic_extra__ or {}
        allowed = self.plugins.sections
        return {
            name: value
            for name, value in extra.items()
            if name in allowed or not name[:1].isupper()
        }
