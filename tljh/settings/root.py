"""`Config`: the sections of config.yaml, composed."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, model_validator

from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.sections.access import AuthSettings, Login, UsersSettings
from tljh.settings.sections.alerts import AlertsSettings
from tljh.settings.sections.backup import BackupSettings
from tljh.settings.sections.checklist import ChecklistSettings
from tljh.settings.sections.database import DatabaseSettings
from tljh.settings.sections.firewall import FirewallSettings
from tljh.settings.sections.homes import HomesSettings
from tljh.settings.sections.housekeeping import HousekeepingSettings
from tljh.settings.sections.https import HttpsSettings
from tljh.settings.sections.hub import HubSettings
from tljh.settings.sections.isolation import IsolationSettings
from tljh.settings.sections.launch import LaunchSettings
from tljh.settings.sections.limits import LimitsSettings
from tljh.settings.sections.pages import PagesSettings
from tljh.settings.sections.plugins import PluginsSettings
from tljh.settings.sections.presets import PresetsSettings
from tljh.settings.sections.proxy import HttpSettings, ProxySettings, TraefikApiSettings
from tljh.settings.sections.services import (
    CustomScope,
    CustomScopeSettings,
    HubGroup,
    RoleName,
    RoleSettings,
    ServicesSettings,
)
from tljh.settings.sections.updates import UpdatesSettings
from tljh.settings.sections.upgrade import UpgradeSettings
from tljh.settings.sections.user_environment import UserEnvironmentSettings
from tljh.settings.sections.workers import WorkersSettings
from tljh.settings.value_types import BaseUrl, Network


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
    presets: PresetsSettings = section(
        PresetsSettings, help="Packages that courses ask for, installed and configured."
    )
    firewall: FirewallSettings = section(
        FirewallSettings, help="A firewall for incoming connections."
    )
    updates: UpdatesSettings = section(
        UpdatesSettings, help="Updates of the distribution, and the reboots that they need."
    )
    homes: HomesSettings = section(HomesSettings, help="The users' home directories.")
    housekeeping: HousekeepingSettings = section(
        HousekeepingSettings, help="Room on the disk: logs and caches."
    )
    backup: BackupSettings = section(BackupSettings, help="Encrypted backups of the hub.")
    alerts: AlertsSettings = section(
        AlertsSettings, help="Alerts by mail and webhooks, sent by a timer."
    )
    checklist: ChecklistSettings = section(
        ChecklistSettings, help="The checklist of a hub in production."
    )
    pages: PagesSettings = section(PagesSettings, help="What the hub's pages show.")
    launch: LaunchSettings = section(
        LaunchSettings, help="Temporary users, whose servers an application starts."
    )
    services: ServicesSettings = section(
        ServicesSettings,
        help="Programs that talk to the hub; you add them as services.NAME.",
    )
    roles: dict[RoleName, RoleSettings] = setting(
        {},
        help="Rights at the hub's API by role, and the users, groups and services that have them.",
        cost=Cost.HUB_RESTART,
        example="{grader: {scopes: [list:users], users: [alice]}}",
    )
    groups: dict[HubGroup, list[Login]] = setting(
        {},
        help="Groups of the hub with their members, for roles and services; Linux groups are in "
        "users.extra_user_groups.",
        cost=Cost.HUB_RESTART,
        example="{course-a: [alice, bob]}",
    )
    custom_scopes: dict[CustomScope, CustomScopeSettings] = setting(
        {},
        help="Scopes that your services define and check.",
        cost=Cost.HUB_RESTART,
        example='{"custom:grades:read": {description: read all grades}}',
    )
    hub: HubSettings = section(HubSettings, help="The hub: its addresses and its environment.")
    database: DatabaseSettings = section(DatabaseSettings, help="The hub's database.")
    plugins: PluginsSettings = section(
        PluginsSettings, help="Plugins, and their sections in this file."
    )
    workers: WorkersSettings = section(
        WorkersSettings, help="Further machines, which Slurm's controller here knows."
    )

    upgrade: UpgradeSettings = section(UpgradeSettings, help="Upgrades to newer releases of tljh.")

    @model_validator(mode="before")
    @classmethod
    def _take_authenticator_of_jupyterhub(cls, values: Any) -> Any:
        """Take JupyterHub's own option for auth.type, because it wins at the hub."""
        hub = values.get("JupyterHub") if isinstance(values, dict) else None
        chosen = hub.get("authenticator_class") if isinstance(hub, dict) else None
        auth = values.get("auth") or {} if isinstance(values, dict) else {}
        if isinstance(chosen, str) and isinstance(auth, dict):
            return {**values, "auth": {**auth, "type": chosen}}
        return values

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
