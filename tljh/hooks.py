"""The hooks a plugin can implement, and what some of them return; names and arguments stay.

A plugin is a module under the entry-point group `tljh` with functions marked `@hookimpl`.
"""

from tljh.plugins.declared import CheckResult as CheckResult
from tljh.plugins.declared import PluginDirectory as PluginDirectory
from tljh.plugins.declared import PluginFile as PluginFile
from tljh.plugins.declared import PluginPackages as PluginPackages
from tljh.plugins.declared import PluginUnit as PluginUnit
from tljh.plugins.hookspecs import (
    hookimpl as hookimpl,
)
from tljh.plugins.hookspecs import (
    hookspec as hookspec,
)
from tljh.plugins.hookspecs import (
    tljh_after_removal as tljh_after_removal,
)
from tljh.plugins.hookspecs import (
    tljh_after_upgrade as tljh_after_upgrade,
)
from tljh.plugins.hookspecs import (
    tljh_backup_paths as tljh_backup_paths,
)
from tljh.plugins.hookspecs import (
    tljh_before_removal as tljh_before_removal,
)
from tljh.plugins.hookspecs import (
    tljh_before_upgrade as tljh_before_upgrade,
)
from tljh.plugins.hookspecs import (
    tljh_commands as tljh_commands,
)
from tljh.plugins.hookspecs import (
    tljh_config_post_install as tljh_config_post_install,
)
from tljh.plugins.hookspecs import (
    tljh_custom_jupyterhub_config as tljh_custom_jupyterhub_config,
)
from tljh.plugins.hookspecs import (
    tljh_doctor_checks as tljh_doctor_checks,
)
from tljh.plugins.hookspecs import (
    tljh_extra_apt_packages as tljh_extra_apt_packages,
)
from tljh.plugins.hookspecs import (
    tljh_extra_hub_pip_packages as tljh_extra_hub_pip_packages,
)
from tljh.plugins.hookspecs import (
    tljh_extra_user_conda_channels as tljh_extra_user_conda_channels,
)
from tljh.plugins.hookspecs import (
    tljh_extra_user_conda_packages as tljh_extra_user_conda_packages,
)
from tljh.plugins.hookspecs import (
    tljh_extra_user_pip_packages as tljh_extra_user_pip_packages,
)
from tljh.plugins.hookspecs import (
    tljh_new_user_create as tljh_new_user_create,
)
from tljh.plugins.hookspecs import (
    tljh_post_install as tljh_post_install,
)
from tljh.plugins.hookspecs import (
    tljh_resources as tljh_resources,
)
from tljh.plugins.hookspecs import (
    tljh_server_starting as tljh_server_starting,
)
from tljh.plugins.hookspecs import (
    tljh_settings as tljh_settings,
)
from tljh.plugins.hookspecs import (
    tljh_traefik_rules as tljh_traefik_rules,
)
from tljh.plugins.hookspecs import (
    tljh_user_removed as tljh_user_removed,
)
from tljh.plugins.plugin_settings import read_settings as read_settings
from tljh.settings.declaration import Cost as Cost
from tljh.settings.declaration import Section as Section
from tljh.settings.declaration import section as section
from tljh.settings.declaration import setting as setting
